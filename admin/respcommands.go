package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/redcon"
)

// respCommand is one word behind SESSIONGATE.
type respCommand struct {
	usage string
	help  string
	to    access
	do    func(o *operator, ctx context.Context, args []string) (any, error)
}

// respOrder is the order in which HELP lists them.
var respOrder = []string{"HELP", "STATUS", "STATS", "CLIENTS", "KILL", "LINKS", "TENANTS", "RULES", "REFUSALS", "EXPLAIN", "SLOWLOG", "SESSIONS", "REVOKE", "RELOAD", "PAUSE", "RESUME", "DRAIN", "LOGLEVEL"}

// respCommands is filled by init: HELP lists what is in it.
var respCommands map[string]respCommand

func init() {
	respCommands = map[string]respCommand{
		"HELP":     {"HELP", "this", figures, (*operator).help},
		"STATUS":   {"STATUS", "version, readiness, whether it drains or is paused", figures, func(o *operator, _ context.Context, _ []string) (any, error) { return o.admin.status(), nil }},
		"STATS":    {"STATS", "running totals by tenant", figures, (*operator).stats},
		"CLIENTS":  {"CLIENTS [tenant]", "who is connected", figures, (*operator).clients},
		"KILL":     {"KILL id", "close a client", secrets, (*operator).kill},
		"LINKS":    {"LINKS", "the upstreams and the connections to them", figures, func(o *operator, _ context.Context, _ []string) (any, error) { return o.admin.upstreams(), nil }},
		"TENANTS":  {"TENANTS", "the tenants and what they have done", figures, func(o *operator, _ context.Context, _ []string) (any, error) { return o.admin.tenants(), nil }},
		"RULES":    {"RULES [tenant]", "the rules in force and how often they were met", figures, (*operator).rules},
		"REFUSALS": {"REFUSALS", "refusals by rule and kind", figures, func(o *operator, _ context.Context, _ []string) (any, error) { return o.admin.refusals().Classes, nil }},
		"EXPLAIN":  {"EXPLAIN [@tenant] command ...", "what would become of a command", figures, (*operator).explain},
		"SLOWLOG":  {"SLOWLOG [GET [n] | LEN | RESET]", "the last batches that took long", figures, (*operator).slowLog},
		"SESSIONS": {"SESSIONS [@tenant] [LIST [cursor [match]] | SHOW key | COUNT [match]]", "sessions, without what is in them", secrets, (*operator).sessions},
		"REVOKE":   {"REVOKE [@tenant] KEY key | MATCH pattern | ALL", "remove sessions", secrets, (*operator).revoke},
		"RELOAD":   {"RELOAD", "put the configuration into force anew", secrets, func(o *operator, ctx context.Context, _ []string) (any, error) { return o.admin.reload(ctx, o.who) }},
		"PAUSE":    {"PAUSE [seconds]", "finish what is under way and hold back the rest, for so long at most (30)", secrets, (*operator).pause},
		"RESUME":   {"RESUME [FORCE]", "let commands go again, once the upstreams answer", secrets, (*operator).resume},
		"DRAIN":    {"DRAIN", "end the program as SIGTERM does", secrets, func(o *operator, _ context.Context, _ []string) (any, error) { return o.admin.drain(o.who) }},
		"LOGLEVEL": {"LOGLEVEL [level]", "show or set the level of the log", secrets, (*operator).logLevel},
	}
}

// errUsage stands for what the command's usage says.
var errUsage = errors.New("usage")

func (o *operator) sessiongate(ctx context.Context, args []string) []byte {
	word := "HELP"
	if len(args) > 0 {
		word, args = strings.ToUpper(args[0]), args[1:]
	}
	c, ok := respCommands[word]
	if !ok {
		return redcon.AppendError(nil, oneLine(fmt.Sprintf("ERR there is no SESSIONGATE %.32q; try SESSIONGATE HELP", word)))
	}
	if err := o.may(c.to); err != nil {
		return redcon.AppendError(nil, "NOAUTH "+oneLine(err.Error()))
	}
	body, err := c.do(o, ctx, args)
	var api *apiError
	switch {
	case errors.Is(err, errUsage):
		return redcon.AppendError(nil, "ERR write SESSIONGATE "+c.usage)
	case errors.As(err, &api) && len(api.Details) > 0:
		return redcon.AppendError(nil, oneLine("ERR "+api.Message+": "+strings.Join(api.Details, "; ")))
	case err != nil:
		return redcon.AppendError(nil, oneLine("ERR "+err.Error()))
	}
	if later, ok := body.(accepted); ok {
		body = later.body
	}
	return appendBody(nil, body)
}

// oneLine is text that fits into an error of RESP.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// appendBody writes what the API would answer as lines of name=value, a line for each element of a list.
func appendBody(dst []byte, body any) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		return redcon.AppendError(dst, oneLine("ERR "+err.Error()))
	}
	lines := lines(text)
	dst = redcon.AppendArray(dst, len(lines))
	for _, line := range lines {
		dst = redcon.AppendBulkString(dst, line)
	}
	return dst
}

// lines are those of a JSON value: of a list one for each element, of an object one for each field.
func lines(text []byte) (list []string) {
	var elems []json.RawMessage
	if json.Unmarshal(text, &elems) == nil {
		for _, elem := range elems {
			list = append(list, line(elem))
		}
		return list
	}
	fields, ok := fieldsOf(text)
	if !ok {
		return []string{line(text)}
	}
	for _, f := range fields {
		if inner, nested := fieldsOf(f.value); nested {
			for _, g := range inner {
				list = append(list, f.name+"."+g.name+"="+line(g.value))
			}
			continue
		}
		list = append(list, f.name+"="+line(f.value))
	}
	return list
}

// line writes a value on one line: fields of an object as name=value.
func line(text json.RawMessage) string {
	if fields, ok := fieldsOf(text); ok {
		var words []string
		for _, f := range fields {
			if inner, nested := fieldsOf(f.value); nested {
				for _, g := range inner {
					words = append(words, f.name+"."+g.name+"="+word(g.value))
				}
				continue
			}
			words = append(words, f.name+"="+word(f.value))
		}
		return strings.Join(words, " ")
	}
	var s *string
	if json.Unmarshal(text, &s) == nil && s != nil {
		return *s
	}
	return string(text)
}

// word is a value without blanks, which would end it.
func word(text json.RawMessage) string {
	var s *string
	if json.Unmarshal(text, &s) != nil || s == nil {
		return string(text)
	}
	if *s == "" || strings.ContainsAny(*s, " \"\n\r\t") {
		return strconv.Quote(*s)
	}
	return *s
}

type rawField struct {
	name  string
	value json.RawMessage
}

// fieldsOf are the fields of an object, in their order.
func fieldsOf(text []byte) (list []rawField, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return nil, false
		}
		list = append(list, rawField{fmt.Sprint(name), value})
	}
	_, err := dec.Token()
	return list, err == nil || errors.Is(err, io.EOF)
}

func (o *operator) help(context.Context, []string) (any, error) {
	list := []string{"SESSIONGATE <word> ...; the words are:"}
	for _, word := range respOrder {
		list = append(list, respCommands[word].usage, "    "+respCommands[word].help)
	}
	return list, nil
}

// stats has one line for each tenant, and one for all.
func (o *operator) stats(context.Context, []string) (any, error) {
	s := o.admin.stats()
	list := []any{s.Totals}
	for _, t := range s.Tenants {
		n := int64(0)
		for _, c := range t.Latency.Total.Counts {
			n += c
		}
		list = append(list, struct {
			Tenant   string `json:"tenant"`
			Clients  int64  `json:"clients"`
			BytesIn  int64  `json:"bytes_in"`
			BytesOut int64  `json:"bytes_out"`
			verdicts
			Average  float64 `json:"average_ms"`
			Upstream float64 `json:"upstream_ms"`
		}{t.Tenant, t.Clients, t.BytesIn, t.BytesOut, t.Verdicts, perMille(t.Latency.Total.Sum, n), perMille(t.Latency.Upstream.Sum, n)})
	}
	return list, nil
}

// perMille is the average of n parts of a sum in seconds, in milliseconds.
func perMille(sum float64, n int64) float64 {
	return millis(time.Duration(sum / float64(max(n, 1)) * float64(time.Second)))
}

func optional(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func (o *operator) clients(_ context.Context, args []string) (any, error) {
	return o.admin.clients(optional(args), 0, 1<<20).Clients, nil
}

func (o *operator) kill(_ context.Context, args []string) (any, error) {
	id, err := strconv.ParseInt(optional(args), 10, 64)
	if err != nil {
		return nil, errUsage
	}
	return o.admin.kill(id, o.who)
}

func (o *operator) rules(_ context.Context, args []string) (any, error) {
	return o.admin.rules(optional(args)), nil
}

// at takes the tenant from the front of the arguments, if one is there.
func at(args []string) (tenant string, rest []string) {
	if len(args) > 0 && strings.HasPrefix(args[0], "@") {
		return args[0][1:], args[1:]
	}
	return "", args
}

func (o *operator) explain(_ context.Context, args []string) (any, error) {
	tenant, words := at(args)
	if len(words) == 0 {
		return nil, errUsage
	}
	body, err := o.admin.explain(tenant, words)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimRight(body.(explanation).String(), "\n"), "\n"), nil
}

func (o *operator) slowLog(_ context.Context, args []string) (any, error) {
	switch word := strings.ToUpper(optional(args)); word {
	case "", "GET":
		n := int64(10)
		if len(args) > 1 {
			var err error
			if n, err = strconv.ParseInt(args[1], 10, 32); err != nil || n < 0 {
				return nil, errUsage
			}
		}
		return o.admin.slowLog(int(n)).Entries, nil
	case "LEN":
		return []int{len(o.admin.slowLog(1 << 30).Entries)}, nil
	case "RESET":
		if err := o.may(secrets); err != nil {
			return nil, err
		}
		o.admin.acted(o.who, "slowlog reset")
		return object{"removed": o.admin.cfg.Proxy.ForgetSlow()}, nil
	}
	return nil, errUsage
}

func (o *operator) sessions(ctx context.Context, args []string) (any, error) {
	tenant, args := at(args)
	word := "LIST"
	if len(args) > 0 {
		word, args = strings.ToUpper(args[0]), args[1:]
	}
	switch {
	case word == "LIST" && len(args) <= 2:
		match := ""
		if len(args) == 2 {
			match = args[1]
		}
		body, err := o.admin.sessions(ctx, tenant, match, optional(args), 100)
		if err != nil {
			return nil, err
		}
		page := body.(sessions)
		list := []any{"cursor=" + page.Cursor}
		for _, each := range page.Sessions {
			list = append(list, each)
		}
		return list, nil
	case word == "SHOW" && len(args) == 1:
		return o.admin.session(ctx, tenant, []byte(args[0]), false)
	case word == "COUNT" && len(args) <= 1:
		return o.admin.countSessions(ctx, tenant, optional(args))
	}
	return nil, errUsage
}

func (o *operator) revoke(ctx context.Context, args []string) (any, error) {
	tenant, args := at(args)
	in := revokeRequest{Tenant: tenant}
	switch word := strings.ToUpper(optional(args)); {
	case word == "KEY" && len(args) == 2:
		in.Key = args[1]
	case word == "MATCH" && len(args) == 2:
		in.Match = args[1]
	case word == "ALL" && len(args) == 1:
		in.All = true
	default:
		return nil, errUsage
	}
	return o.admin.revoke(ctx, in, o.who)
}

func (o *operator) pause(ctx context.Context, args []string) (any, error) {
	limit := pauseDefault
	if len(args) > 0 {
		seconds, err := strconv.ParseInt(args[0], 10, 32)
		if limit = time.Duration(seconds) * time.Second; err != nil || limit <= 0 || limit > pauseMost {
			return nil, errUsage
		}
	}
	return o.admin.pause(ctx, limit, o.who)
}

func (o *operator) resume(ctx context.Context, args []string) (any, error) {
	force := strings.EqualFold(optional(args), "FORCE")
	if len(args) > 0 && !force {
		return nil, errUsage
	}
	return o.admin.resume(ctx, force, o.who)
}

func (o *operator) logLevel(_ context.Context, args []string) (any, error) {
	if len(args) == 0 {
		return object{"level": o.admin.cfg.Level.String()}, nil
	}
	return o.admin.setLevel(args[0], o.who)
}
