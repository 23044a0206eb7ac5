package admin

import (
	"cmp"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"sessiongate/config"
	"sessiongate/proxy"
)

// What can be looked at. The types are the shapes of docs/admin-api.md.

type status struct {
	Version       string     `json:"version"`
	Go            string     `json:"go"`
	PID           int        `json:"pid"`
	Started       stamp      `json:"started"`
	Uptime        int64      `json:"uptime_s"`
	Threads       int        `json:"threads"`
	Ready         bool       `json:"ready"`
	Reasons       []string   `json:"reasons"`
	Draining      bool       `json:"draining"`
	Paused        bool       `json:"paused"`
	Pause         *pauseView `json:"pause,omitempty"`
	Clients       int        `json:"clients"`
	MaxClients    int        `json:"max_clients"`
	LogLevel      string     `json:"log_level"`
	Metrics       bool       `json:"metrics"`
	ShowValues    bool       `json:"show_values"`
	Reloads       int64      `json:"reloads"`
	FailedReloads int64      `json:"failed_reloads"`
}

type pauseView struct {
	Since stamp `json:"since"`
	Until stamp `json:"until"`
	Held  int64 `json:"held"`
}

func (a *Admin) status() status {
	p := a.cfg.Proxy
	s := status{
		Version: a.cfg.Version, Go: runtime.Version(), PID: os.Getpid(), Started: stamp(p.Started()), Uptime: int64(time.Since(p.Started()).Seconds()),
		Threads: runtime.GOMAXPROCS(0), Ready: true, Reasons: []string{}, Draining: p.Draining(),
		Clients: p.Connected(), MaxClients: p.MostClients(), LogLevel: a.cfg.Level.String(), Metrics: p.Measured(), ShowValues: a.cfg.ShowValues,
		Reloads: p.Counts.Reloads.Load(), FailedReloads: p.Counts.FailedReloads.Load(),
	}
	if why := a.unready(); why != nil {
		s.Ready, s.Reasons = false, []string{why.Error()}
	}
	if pause, yes := p.Paused(); yes {
		s.Paused, s.Pause = true, &pauseView{stamp(pause.Since), stamp(pause.Until), pause.Held}
	}
	return s
}

type stats struct {
	Time     stamp          `json:"time"`
	Uptime   float64        `json:"uptime_s"`
	Totals   totals         `json:"totals"`
	Bounds   []float64      `json:"bounds_s"`
	Tenants  []tenantStats  `json:"tenants"`
	Commands []commandStats `json:"commands"`
}

type totals struct {
	Connections   int64 `json:"connections"`
	Rejected      int64 `json:"rejected"`
	Commands      int64 `json:"commands"`
	Refused       int64 `json:"refused"`
	Withheld      int64 `json:"withheld"`
	Panics        int64 `json:"panics"`
	FailedLogins  int64 `json:"failed_logins"`
	Reloads       int64 `json:"reloads"`
	FailedReloads int64 `json:"failed_reloads"`
}

type verdicts struct {
	Passed    int64 `json:"passed"`
	Rewritten int64 `json:"rewritten"`
	Refused   int64 `json:"refused"`
	Local     int64 `json:"local"`
	Unknown   int64 `json:"unknown"`
}

func verdictsOf(v [proxy.Verdicts]int64) verdicts {
	return verdicts{v[proxy.Passed], v[proxy.Rewritten], v[proxy.Refused], v[proxy.Local], v[proxy.Unknown]}
}

type tenantStats struct {
	Tenant   string           `json:"tenant"`
	Clients  int64            `json:"clients"`
	BytesIn  int64            `json:"bytes_in"`
	BytesOut int64            `json:"bytes_out"`
	Verdicts verdicts         `json:"verdicts"`
	Rewrites map[string]int64 `json:"rewrites"`
	Latency  latencies        `json:"latency"`
}

type latencies struct {
	Total    histogram `json:"total"`
	Upstream histogram `json:"upstream"`
}

type histogram struct {
	Counts []int64 `json:"counts"`
	Sum    float64 `json:"sum_s"`
}

type commandStats struct {
	Tenant  string `json:"tenant"`
	Command string `json:"command"`
	verdicts
}

func (a *Admin) stats() stats {
	p := a.cfg.Proxy
	c := &p.Counts
	s := stats{
		Time: stamp(time.Now()), Uptime: time.Since(p.Started()).Seconds(),
		Totals: totals{c.Connections.Load(), c.Rejected.Load(), c.Commands.Load(), c.Refused.Load(), c.Withheld.Load(), c.Panics.Load(),
			c.FailedLogins.Load(), c.Reloads.Load(), c.FailedReloads.Load()},
		Tenants: []tenantStats{}, Commands: []commandStats{},
	}
	for _, bound := range proxy.Bounds {
		s.Bounds = append(s.Bounds, bound.Seconds())
	}
	for _, f := range p.Figures() {
		name := cmp.Or(f.Name, nobody)
		t := tenantStats{Tenant: name, Clients: f.Clients, BytesIn: f.BytesIn, BytesOut: f.BytesOut, Verdicts: verdictsOf(f.Verdicts), Rewrites: map[string]int64{},
			Latency: latencies{histogramOf(f.Total), histogramOf(f.Upstream)}}
		for i, way := range proxy.RewriteNames {
			t.Rewrites[way] = f.Rewrites[i]
		}
		if f.Name != "" || f.Verdicts != [proxy.Verdicts]int64{} {
			s.Tenants = append(s.Tenants, t)
		}
		for _, each := range f.Commands {
			s.Commands = append(s.Commands, commandStats{name, each.Name, verdictsOf(each.Verdicts)})
		}
	}
	return s
}

func histogramOf(h proxy.Histogram) histogram { return histogram{h.Counts[:], h.Sum.Seconds()} }

type clients struct {
	Clients []client `json:"clients"`
	Total   int      `json:"total"`
	Next    int64    `json:"next"`
}

type client struct {
	ID             int64  `json:"id"`
	Addr           string `json:"addr"`
	LocalAddr      string `json:"local_addr"`
	Tenant         string `json:"tenant"`
	User           string `json:"user"`
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
	Subscriptions  int    `json:"subscriptions"`
	Transaction    bool   `json:"transaction"`
	Dedicated      bool   `json:"dedicated"`
}

// clients lists those behind after, as many as limit.
func (a *Admin) clients(tenant string, after int64, limit int) clients {
	all := a.cfg.Proxy.Clients(tenant)
	list := clients{Clients: []client{}, Total: len(all)}
	for _, c := range all {
		if c.ID <= after {
			continue
		}
		if len(list.Clients) == limit {
			list.Next = list.Clients[limit-1].ID
			break
		}
		list.Clients = append(list.Clients, client{
			c.ID, c.Addr, c.LocalAddr, c.Tenant, c.User, c.Name, c.Library, c.LibraryVersion, c.Proto, c.DB, int64(time.Since(c.Since).Seconds()), int64(c.Idle.Seconds()),
			c.Commands, c.BytesIn, c.BytesOut, c.Subscriptions, c.Transaction, c.Dedicated,
		})
	}
	return list
}

type upstreamView struct {
	Addr       string   `json:"addr"`
	Up         bool     `json:"up"`
	Why        string   `json:"why"`
	Version    string   `json:"version"`
	Tenants    []string `json:"tenants"`
	Links      int64    `json:"links"`
	Dedicated  int64    `json:"dedicated"`
	InFlight   int64    `json:"in_flight"`
	Reconnects int64    `json:"reconnects"`
	Holds      int64    `json:"holds"`
	BytesIn    int64    `json:"bytes_in"`
	BytesOut   int64    `json:"bytes_out"`
	Nodes      []node   `json:"nodes"`
}

type node struct {
	Addr string `json:"addr"`
	Role string `json:"role"`
	Up   bool   `json:"up"`
}

func (a *Admin) upstreams() []upstreamView {
	list := []upstreamView{}
	for _, p := range a.cfg.Proxy.Pools() {
		s := p.Stats()
		up, why := p.Health()
		u := upstreamView{p.Addr(), up, "", p.Version(), []string{}, s.Connections, s.Dedicated, s.InFlight, s.Reconnects, s.Holds, s.BytesIn, s.BytesOut,
			[]node{}}
		for _, n := range p.Nodes() {
			u.Nodes = append(u.Nodes, node{n.Addr, n.Role, n.Up})
		}
		if why != nil {
			u.Why = why.Error()
		}
		for _, t := range a.cfg.Proxy.Tenants() {
			if t.Pool == p {
				u.Tenants = append(u.Tenants, t.Name)
			}
		}
		list = append(list, u)
	}
	return list
}

type tenantView struct {
	Name       string       `json:"name"`
	User       string       `json:"user"`
	Password   bool         `json:"password"`
	Namespace  string       `json:"namespace"`
	DB         int          `json:"db"`
	Upstream   string       `json:"upstream"`
	Clients    int64        `json:"clients"`
	MaxClients int          `json:"max_clients"`
	Rate       int          `json:"rate"`
	Burst      int          `json:"burst"`
	Rules      int          `json:"rules"`
	Verdicts   verdicts     `json:"verdicts"`
	BytesIn    int64        `json:"bytes_in"`
	BytesOut   int64        `json:"bytes_out"`
	Audit      *auditFigure `json:"audit,omitempty"`
}

type auditFigure struct {
	Time  stamp `json:"time"`
	Keys  int64 `json:"keys"`
	Bytes int64 `json:"bytes"`
}

func (a *Admin) tenants() []tenantView {
	list := []tenantView{}
	figures := a.cfg.Proxy.Figures()
	for _, t := range a.cfg.Proxy.Tenants() {
		v := tenantView{Name: t.Name, User: t.User, Password: t.HasPasswords(), Namespace: string(t.Policy().Prefix()), DB: t.StartDB(), Upstream: t.Pool.Addr(),
			MaxClients: t.Clients, Rate: t.Rate.Commands, Burst: t.Rate.Burst, Rules: len(t.Policy().RuleNames()), Audit: a.audits.figure(t.Name)}
		if i := slices.IndexFunc(figures, func(f proxy.TenantFigures) bool { return f.Name == t.Name }); i >= 0 {
			f := figures[i]
			v.Clients, v.Verdicts, v.BytesIn, v.BytesOut = f.Clients, verdictsOf(f.Verdicts), f.BytesIn, f.BytesOut
		}
		list = append(list, v)
	}
	return list
}

type ruleView struct {
	Tenant   string           `json:"tenant"`
	Rule     string           `json:"rule"`
	Keys     []string         `json:"keys"`
	Mode     string           `json:"mode"`
	Summary  string           `json:"summary"`
	Hits     int64            `json:"hits"`
	Refusals map[string]int64 `json:"refusals"`
}

func (a *Admin) rules(tenant string) []ruleView {
	list := []ruleView{}
	figures := a.cfg.Proxy.Figures()
	classes, _ := a.cfg.Proxy.Refusals()
	for _, t := range a.cfg.InForce().Everyone() {
		if tenant != "" && t.Name != tenant {
			continue
		}
		var hits []int64
		if i := slices.IndexFunc(figures, func(f proxy.TenantFigures) bool { return f.Name == t.Name }); i >= 0 {
			hits = figures[i].Hits
		}
		for i, rule := range t.Rules {
			v := ruleView{Tenant: t.Name, Rule: rule.DisplayName(), Keys: append([]string{}, rule.Keys...), Mode: cmp.Or(rule.Mode, t.Mode, "enforce"),
				Summary: config.Summary(rule), Refusals: map[string]int64{}}
			if i < len(hits) {
				v.Hits = hits[i]
			}
			for _, c := range classes {
				if c.Tenant == t.Name && c.Rule == v.Rule {
					v.Refusals[c.Kind] += c.Count
				}
			}
			list = append(list, v)
		}
	}
	return list
}

type refusals struct {
	Classes []refusalClass `json:"classes"`
	Recent  []refusal      `json:"recent"`
}

type refusalClass struct {
	Tenant  string `json:"tenant"`
	Rule    string `json:"rule"`
	Kind    string `json:"kind"`
	Command string `json:"command"`
	Count   int64  `json:"count"`
	Last    stamp  `json:"last"`
}

type refusal struct {
	Time    stamp     `json:"time"`
	Tenant  string    `json:"tenant"`
	Rule    string    `json:"rule"`
	Kind    string    `json:"kind"`
	Command string    `json:"command"`
	Reason  string    `json:"reason"`
	Client  clientRef `json:"client"`
}

type clientRef struct {
	ID      int64  `json:"id"`
	Addr    string `json:"addr"`
	Name    string `json:"name"`
	Library string `json:"library"`
}

func (a *Admin) refusals() refusals {
	v := refusals{[]refusalClass{}, []refusal{}}
	classes, recent := a.cfg.Proxy.Refusals()
	for _, c := range classes {
		v.Classes = append(v.Classes, refusalClass{c.Tenant, c.Rule, c.Kind, c.Command, c.Count, stamp(c.Last)})
	}
	slices.SortFunc(v.Classes, func(a, b refusalClass) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Command, b.Command))
	})
	for _, r := range recent {
		v.Recent = append(v.Recent, refusal{stamp(r.At), r.Tenant, r.Rule, r.Kind, r.Command, r.Reason, clientRef(r.Client)})
	}
	return v
}

type slowLog struct {
	Threshold float64     `json:"threshold_ms"`
	Length    int         `json:"length"`
	LeftOut   int64       `json:"left_out"`
	Entries   []slowEntry `json:"entries"`
}

type slowEntry struct {
	ID       int64     `json:"id"`
	Time     stamp     `json:"time"`
	Tenant   string    `json:"tenant"`
	Command  string    `json:"command"`
	Key      string    `json:"key"`
	Commands int       `json:"commands"`
	Total    float64   `json:"total_ms"`
	Upstream float64   `json:"upstream_ms"`
	Client   clientRef `json:"client"`
}

func (a *Admin) slowLog(limit int) slowLog {
	threshold, length := a.cfg.Proxy.SlowFrom()
	v := slowLog{millis(threshold), length, a.cfg.Proxy.SlowLeftOut(), []slowEntry{}}
	for _, e := range a.cfg.Proxy.Slow(limit) {
		v.Entries = append(v.Entries, slowEntry{e.ID, stamp(e.At), e.Tenant, e.Command, e.Key, e.Commands, millis(e.Total), millis(e.Upstream), clientRef(e.Client)})
	}
	return v
}

// idOf reads the id in a path.
func idOf(r *http.Request, code string) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0, fail(http.StatusNotFound, code, "there is none of the id %q", r.PathValue("id"))
	}
	return id, nil
}
