package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// remoteClient is a client as the API shows it.
type remoteClient struct {
	ID             int64  `json:"id"`
	Addr           string `json:"addr"`
	Tenant         string `json:"tenant"`
	Name           string `json:"name"`
	Library        string `json:"library"`
	LibraryVersion string `json:"library_version"`
	RESP           int    `json:"resp"`
	DB             int    `json:"db"`
	Age            int64  `json:"age_s"`
	Idle           int64  `json:"idle_s"`
	Commands       int64  `json:"commands"`
	BytesIn        int64  `json:"bytes_in"`
	BytesOut       int64  `json:"bytes_out"`
}

func (p *program) clientsCommand() *cobra.Command {
	var to reach
	var tenant string
	var asJSON bool
	c := &cobra.Command{
		Use:   "clients",
		Short: "List the connected clients of a running Sessiongate",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := p.remote(to)
			if err != nil {
				return err
			}
			return p.clients(cmd, r, tenant, asJSON)
		},
	}
	to.flags(c)
	c.Flags().StringVar(&tenant, "tenant", "", "`name` of the only tenant to list")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each, a line each")
	c.AddCommand(&cobra.Command{
		Use:   "kill id...",
		Short: "Close the connections of clients",
		Args:  someArgs("id"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			r, err := p.remote(to)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if _, err := strconv.ParseUint(id, 10, 63); err != nil {
					return usageError{fmt.Errorf("%q is no id of a client", id)}
				}
				var killed struct{}
				if err := r.do(cmd.Context(), http.MethodDelete, "/clients/"+id, nil, &killed); err != nil {
					return err
				}
			}
			return nil
		},
	})
	return c
}

// someArgs wants at least one argument.
func someArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError{fmt.Errorf("%s needs a %s", cmd.CommandPath(), what)}
		}
		return nil
	}
}

func (p *program) clients(cmd *cobra.Command, r *remote, tenant string, asJSON bool) error {
	out := newRows(p.stdout, asJSON, "ID", "ADDRESS", "TENANT", "NAME", "LIBRARY", "DB", "AGE", "IDLE", "COMMANDS", "IN", "OUT")
	query := url.Values{"limit": {"1000"}}
	if tenant != "" {
		query.Set("tenant", tenant)
	}
	for {
		var page struct {
			Clients []json.RawMessage
			Next    int64
		}
		if err := r.get(cmd.Context(), "/clients", query, &page); err != nil {
			return err
		}
		for _, raw := range page.Clients {
			var c remoteClient
			if err := json.Unmarshal(raw, &c); err != nil {
				return err
			}
			out.add(raw, c.ID, c.Addr, c.Tenant, c.Name, strings.TrimSpace(c.Library+" "+c.LibraryVersion), c.DB,
				seconds(c.Age), seconds(c.Idle), c.Commands, bytesText(c.BytesIn), bytesText(c.BytesOut))
		}
		if page.Next == 0 {
			return out.end()
		}
		query.Set("after", strconv.FormatInt(page.Next, 10))
	}
}

// rows prints a table, or the JSON that it is of.
type rows struct {
	to    io.Writer
	table *tabwriter.Writer // nil: JSON
	err   error
}

func newRows(to io.Writer, asJSON bool, titles ...any) *rows {
	r := &rows{to: to}
	if !asJSON {
		r.table = tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
		r.add(nil, titles...)
	}
	return r
}

func (r *rows) add(raw json.RawMessage, columns ...any) {
	if r.err != nil {
		return
	}
	if r.table == nil {
		_, r.err = fmt.Fprintf(r.to, "%s\n", raw)
		return
	}
	texts := make([]string, len(columns))
	for i, column := range columns {
		if texts[i] = shown(fmt.Sprint(column)); texts[i] == "" {
			texts[i] = "-"
		}
	}
	_, r.err = fmt.Fprintln(r.table, strings.Join(texts, "\t"))
}

func (r *rows) end() error {
	if r.table != nil && r.err == nil {
		r.err = r.table.Flush()
	}
	return r.err
}

// shown keeps what clients have named from doing anything to a terminal.
func shown(text string) string {
	if strings.IndexFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) < 0 {
		return text
	}
	return strconv.Quote(text)
}

// seconds shows a time as people say it: the two largest units of it.
func seconds(s int64) string {
	d := time.Duration(s) * time.Second
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", s)
}

// bytesText shows a number of bytes in three digits.
func bytesText(n int64) string {
	f, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for f >= 1000 && len(units) > 1 {
		f, units = f/1024, units[1:]
	}
	if units[0] == "B" || f >= 100 {
		return fmt.Sprintf("%.0f%s", f, units[0])
	}
	return fmt.Sprintf("%.1f%s", f, units[0])
}
