package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// remoteSession is a session as the API shows it.
type remoteSession struct {
	Key   string  `json:"key"`
	Type  string  `json:"type"`
	Rule  string  `json:"rule"`
	TTL   int64   `json:"ttl_ms"`
	Idle  *int64  `json:"idle_s"`
	Bytes *int64  `json:"bytes"`
	Born  *string `json:"born"`
	Age   *int64  `json:"age_s"`
	Value *string `json:"value"`
}

// sessionsOf is what its commands are told.
type sessionsOf struct {
	p      *program
	to     reach
	tenant string
	json   bool
}

func (p *program) sessionsCommand() *cobra.Command {
	s := &sessionsOf{p: p}
	c := &cobra.Command{
		Use:   "sessions",
		Short: "List, show, count and revoke the sessions of a running Sessiongate",
		Long:  "List, show, count and revoke sessions through the admin address of a running Sessiongate.\nNames are as the tenant knows them, without the namespace.",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	s.to.flags(c)
	c.PersistentFlags().StringVar(&s.tenant, "tenant", "", "`name` of the tenant; may be left out if there is one only")
	c.AddCommand(s.listCommand(), s.showCommand(), s.countCommand(), s.revokeCommand())
	return c
}

func (s *sessionsOf) query(pairs ...string) url.Values {
	q := url.Values{}
	if s.tenant != "" {
		q.Set("tenant", s.tenant)
	}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q
}

func (s *sessionsOf) jsonFlag(c *cobra.Command, usage string) {
	c.Flags().BoolVar(&s.json, "json", false, usage)
}

func (s *sessionsOf) listCommand() *cobra.Command {
	match, limit := "*", 0
	c := &cobra.Command{
		Use:   "list",
		Short: "List sessions",
		Long:  "List sessions with their type, rule, time to live, idle time, size and age. As with SCAN, one may come twice.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return usageError{fmt.Errorf("--limit %d is below 0", limit)}
			}
			r, err := s.p.remote(s.to)
			if err != nil {
				return err
			}
			return s.list(cmd.Context(), r, match, limit)
		},
	}
	c.Flags().StringVar(&match, "match", "*", "`pattern` of their names, as in KEYS")
	c.Flags().IntVar(&limit, "limit", 100, "how many at most; 0: all")
	s.jsonFlag(c, "print one JSON object for each, a line each")
	return c
}

func (s *sessionsOf) list(ctx context.Context, r *remote, match string, limit int) error {
	out := newRows(s.p.stdout, s.json, "KEY", "TYPE", "RULE", "TTL", "IDLE", "SIZE", "AGE")
	query := s.query("match", match, "count", "1000")
	if limit > 0 && limit < 1000 {
		query.Set("count", strconv.Itoa(limit))
	}
	for n := 0; ; {
		var page struct {
			Cursor   string
			Sessions []json.RawMessage
		}
		if err := r.get(ctx, "/sessions", query, &page); err != nil {
			return err
		}
		for _, raw := range page.Sessions {
			var each remoteSession
			if err := json.Unmarshal(raw, &each); err != nil {
				return err
			}
			if n++; limit > 0 && n > limit {
				return out.end()
			}
			out.add(raw, each.Key, each.Type, each.Rule, ttlText(each.TTL), given(each.Idle, seconds), given(each.Bytes, bytesText), given(each.Age, seconds))
		}
		if page.Cursor == "" || out.err != nil {
			return out.end()
		}
		query.Set("cursor", page.Cursor)
	}
}

// given shows what may not be.
func given(n *int64, show func(int64) string) string {
	if n == nil {
		return "-"
	}
	return show(*n)
}

func ttlText(ms int64) string {
	if ms < 0 {
		return "never"
	}
	return seconds((ms + 500) / 1000)
}

func (s *sessionsOf) showCommand() *cobra.Command {
	value := false
	c := &cobra.Command{
		Use:   "show key",
		Short: "Show one session",
		Args:  oneArg("key"),
		RunE: func(cmd *cobra.Command, keys []string) error {
			r, err := s.p.remote(s.to)
			if err != nil {
				return err
			}
			query := s.query("key", keys[0])
			if value {
				query.Set("value", "1")
			}
			var answer struct{ Session json.RawMessage }
			if err := r.get(cmd.Context(), "/sessions/show", query, &answer); err != nil {
				return err
			}
			if s.json {
				_, err := fmt.Fprintf(s.p.stdout, "%s\n", answer.Session)
				return err
			}
			return s.show(answer.Session)
		},
	}
	c.Flags().BoolVar(&value, "value", false, "with its value, where admin.show_values allows that")
	s.jsonFlag(c, "print one JSON object")
	return c
}

func (s *sessionsOf) show(raw json.RawMessage) error {
	var one remoteSession
	if err := json.Unmarshal(raw, &one); err != nil {
		return err
	}
	for _, line := range [][2]string{
		{"key", shown(one.Key)}, {"type", one.Type}, {"rule", one.Rule}, {"ttl", ttlText(one.TTL)},
		{"idle", given(one.Idle, seconds)}, {"size", given(one.Bytes, bytesText)}, {"age", given(one.Age, seconds)},
	} {
		if _, err := fmt.Fprintf(s.p.stdout, "%-6s %s\n", line[0], line[1]); err != nil {
			return err
		}
	}
	if one.Value == nil {
		return nil
	}
	_, err := fmt.Fprintf(s.p.stdout, "value  %s\n", shown(*one.Value))
	return err
}

// oneArg wants exactly one argument.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s takes one %s", cmd.CommandPath(), what)}
		}
		return nil
	}
}

func (s *sessionsOf) countCommand() *cobra.Command {
	match := "*"
	c := &cobra.Command{
		Use:   "count",
		Short: "Count sessions, by a walk through all of them",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := s.p.remote(s.to)
			if err != nil {
				return err
			}
			var answer json.RawMessage
			if err := r.get(cmd.Context(), "/sessions/count", s.query("match", match), &answer); err != nil {
				return err
			}
			if s.json {
				_, err := fmt.Fprintf(s.p.stdout, "%s\n", strings.TrimSpace(string(answer)))
				return err
			}
			var counted struct{ Count int64 }
			if err := json.Unmarshal(answer, &counted); err != nil {
				return err
			}
			_, err = fmt.Fprintln(s.p.stdout, counted.Count)
			return err
		},
	}
	c.Flags().StringVar(&match, "match", "*", "`pattern` of their names, as in KEYS")
	s.jsonFlag(c, "print one JSON object")
	return c
}

// revocation is one as the API takes and shows it.
type revocation struct {
	Tenant  string  `json:"tenant,omitempty"`
	Key     string  `json:"key,omitempty"`
	Match   string  `json:"match,omitempty"`
	All     bool    `json:"all,omitempty"`
	Rate    *int    `json:"rate,omitempty"`
	ID      int64   `json:"id,omitempty"`
	State   string  `json:"state,omitempty"`
	Revoked int64   `json:"revoked,omitempty"`
	Done    float64 `json:"done,omitempty"`
	Error   string  `json:"error,omitempty"`
}

func (s *sessionsOf) revokeCommand() *cobra.Command {
	var match string
	var all, yes bool
	rate := 1000
	c := &cobra.Command{
		Use:   "revoke [key...]",
		Short: "Revoke sessions: their users have to log in again",
		Long:  "Remove sessions by name, by pattern, or all of a tenant. With a pattern or all, it asks first.",
		RunE: func(cmd *cobra.Command, keys []string) error {
			if n := min(len(keys), 1) + len(match)/max(len(match), 1) + map[bool]int{true: 1}[all]; n != 1 {
				return usageError{errors.New("name the keys, or a pattern with --match, or --all: one of them")}
			}
			r, err := s.p.remote(s.to)
			if err != nil {
				return err
			}
			for _, key := range keys {
				if err := s.revoke(cmd.Context(), r, revocation{Tenant: s.tenant, Key: key}); err != nil {
					return err
				}
			}
			if len(keys) > 0 {
				return nil
			}
			if err := s.sure(match, yes); err != nil {
				return err
			}
			return s.revoke(cmd.Context(), r, revocation{Tenant: s.tenant, Match: match, All: all, Rate: &rate})
		},
	}
	c.Flags().StringVar(&match, "match", "", "`pattern` of their names, as in KEYS")
	c.Flags().BoolVar(&all, "all", false, "every session of the tenant")
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	c.Flags().IntVar(&rate, "rate", 1000, "`sessions` a second; 0: any number")
	s.jsonFlag(c, "print one JSON object at the end")
	return c
}

// sure asks whether many sessions are to go.
func (s *sessionsOf) sure(match string, yes bool) error {
	if yes {
		return nil
	}
	if !terminal(s.p.stdin) {
		return usageError{errors.New("nobody can be asked here; --yes says that it is meant")}
	}
	which := "all sessions"
	if match != "" {
		which = fmt.Sprintf("the sessions that match %q", match)
	}
	if s.tenant != "" {
		which += " of the tenant " + s.tenant
	}
	fmt.Fprintf(s.p.stderr, "Revoke %s? Their users have to log in again. [y/N] ", which)
	answer, _ := bufio.NewReader(s.p.stdin).ReadString('\n')
	if !strings.EqualFold(strings.TrimSpace(answer), "y") {
		return errors.New("nothing is revoked")
	}
	return nil
}

// pollEvery is how often it is asked how far a revocation is.
const pollEvery = 250 * time.Millisecond

// revoke has it done, and waits for it. Interrupted, it is cancelled.
func (s *sessionsOf) revoke(ctx context.Context, r *remote, what revocation) error {
	var raw json.RawMessage
	if err := r.do(ctx, http.MethodPost, "/revocations", what, &raw); err != nil {
		return err
	}
	var now revocation
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		now = revocation{}
		if err := json.Unmarshal(raw, &now); err != nil {
			return err
		}
		if now.State != "running" {
			break
		}
		if terminal(s.p.stderr) {
			fmt.Fprintf(s.p.stderr, "\r%3.0f %%  %d revoked", 100*now.Done, now.Revoked)
		}
		path := "/revocations/" + strconv.FormatInt(now.ID, 10)
		var err error
		select {
		case <-tick.C:
			err = r.get(ctx, path, nil, &raw)
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthLimit)
			defer cancel()
			return errors.Join(errors.New("interrupted: the revocation is cancelled, what is revoked stays so"), r.do(last, http.MethodDelete, path, nil, &raw))
		}
		if err != nil {
			return err
		}
	}
	if terminal(s.p.stderr) && what.Key == "" {
		fmt.Fprintln(s.p.stderr)
	}
	return s.revoked(raw, now, what)
}

// revoked tells how it ended.
func (s *sessionsOf) revoked(raw json.RawMessage, now, what revocation) error {
	if s.json {
		fmt.Fprintf(s.p.stdout, "%s\n", strings.TrimSpace(string(raw)))
	} else {
		fmt.Fprintf(s.p.stdout, "%d revoked\n", now.Revoked)
	}
	switch {
	case now.State != "done":
		return fmt.Errorf("the revocation is %s: %s", now.State, now.Error)
	case what.Key != "" && now.Revoked == 0:
		return fmt.Errorf("there is no session %q", what.Key)
	}
	return nil
}
