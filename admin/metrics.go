package admin

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sessiongate/proxy"
)

// collector reads the proxy's counts when Prometheus asks. Nothing of Prometheus is on the way of a command. Labels are bounded by the
// configuration and by the table of commands: what clients send is never one.
type collector struct{ a *Admin }

// registry has everything that /metrics shows.
func (a *Admin) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{a})
	return r
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sessiongate_"+name, help, labels, nil)
}

var (
	commandsDesc   = describe("commands_total", "Commands by what became of them.", "tenant", "command", "verdict")
	rewritesDesc   = describe("rewrites_total", "Commands that were sent in another form, by how they differ; one may differ in several ways.", "tenant", "kind")
	refusalsDesc   = describe("refusals_total", "Refusals, those of replies included.", "tenant", "rule", "kind")
	hitsDesc       = describe("rule_hits_total", "Commands whose first key is the rule's.", "tenant", "rule")
	totalDesc      = describe("command_duration_seconds", "From the arrival of commands to their replies being written.", "tenant")
	upstreamDesc   = describe("upstream_duration_seconds", "From the sending of commands to the arrival of their replies.", "tenant")
	clientByteDesc = describe("client_bytes_total", "Bytes from and to clients.", "tenant", "direction")
	clientsDesc    = describe("clients", "Clients connected.", "tenant")
	mostDesc       = describe("clients_limit", "Clients that may be connected at once.")
	connsDesc      = describe("connections_total", "Clients that have connected.")
	rejectedDesc   = describe("rejected_connections_total", "Clients for which there was no room.")
	loginsDesc     = describe("failed_logins_total", "Wrong passwords and tokens.")
	reloadsDesc    = describe("reloads_total", "Reloads of the configuration.", "result")
	panicsDesc     = describe("panics_total", "Sessions that ended by a mistake of the program.")
	withheldDesc   = describe("withheld_replies_total", "Replies of an unexpected shape, which were not handed out.")
	drainingDesc   = describe("draining", "1 while no new clients are let in.")
	pausedDesc     = describe("paused", "1 while commands are held back.")
	heldDesc       = describe("held_clients", "Clients that wait for the end of a pause.")
	infoDesc       = describe("info", "The version, in its label.", "version")
	tracedDesc     = describe("traced_commands_total", "Commands of which the collector of traces was told, or for which there was no telling it.", "result")
	slowLeftDesc   = describe("slow_log_left_out_total", "Slow batches that were not taken down in the slow log, as there were too many in a second.")
	lostDesc       = describe("audit_lines_lost", "Lines of the audit log that could not be written fast enough, since the last that could.")

	upDesc           = describe("upstream_up", "1 while the upstream answers.", "upstream")
	linksDesc        = describe("links", "Shared connections to the upstream.", "upstream")
	dedicatedDesc    = describe("dedicated_connections", "Connections to the upstream of one client alone.", "upstream")
	inFlightDesc     = describe("in_flight", "Batches of commands without a reply yet.", "upstream")
	reconnectsDesc   = describe("reconnects_total", "Links that came back.", "upstream")
	holdsDesc        = describe("hold_waits_total", "Batches that had to wait for a connection.", "upstream")
	upstreamByteDesc = describe("upstream_bytes_total", "Bytes from and to the upstream.", "upstream", "direction")
)

// Describe sends nothing: which series there are depends on tenants and rules, which a reload changes.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect is called at every scrape.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	p := c.a.cfg.Proxy
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	count := func(desc *prometheus.Desc, n int64, labels ...string) {
		send(desc, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(desc *prometheus.Desc, n int64, labels ...string) {
		send(desc, prometheus.GaugeValue, float64(n), labels...)
	}

	if p.Measured() {
		c.tenants(ch, count, gauge)
	}
	refused := map[[3]string]int64{}
	classes, _ := p.Refusals()
	for _, each := range classes {
		refused[[3]string{each.Tenant, each.Rule, each.Kind}] += each.Count
	}
	for labels, n := range refused {
		count(refusalsDesc, n, labels[:]...)
	}
	c.upstreams(count, gauge)
	count(connsDesc, p.Counts.Connections.Load())
	count(rejectedDesc, p.Counts.Rejected.Load())
	count(loginsDesc, p.Counts.FailedLogins.Load())
	count(reloadsDesc, p.Counts.Reloads.Load(), "ok")
	count(reloadsDesc, p.Counts.FailedReloads.Load(), "failed")
	count(panicsDesc, p.Counts.Panics.Load())
	count(withheldDesc, p.Counts.Withheld.Load())
	gauge(mostDesc, int64(p.MostClients()))
	gauge(drainingDesc, is(p.Draining()))
	pause, paused := p.Paused()
	gauge(pausedDesc, is(paused))
	gauge(heldDesc, pause.Held)
	gauge(infoDesc, 1, c.a.cfg.Version)
	count(slowLeftDesc, p.SlowLeftOut())
	if c.a.cfg.Traced != nil {
		sent, lost := c.a.cfg.Traced()
		count(tracedDesc, sent, "sent")
		count(tracedDesc, lost, "lost")
	}
	if t := c.a.cfg.Trail; t != nil {
		gauge(lostDesc, t.dropped.Load())
	}
}

// nobody is the tenant label of those who have not authenticated.
const nobody = "(none)"

func (c collector) tenants(ch chan<- prometheus.Metric, count, gauge func(*prometheus.Desc, int64, ...string)) {
	names := map[string][]string{}
	for _, t := range c.a.cfg.Proxy.Tenants() {
		names[t.Name] = t.Policy().RuleNames()
	}
	for _, f := range c.a.cfg.Proxy.Figures() {
		tenant := f.Name
		if tenant == "" {
			if tenant = nobody; len(f.Commands) == 0 {
				continue
			}
		} else {
			gauge(clientsDesc, f.Clients, tenant)
		}
		for _, command := range f.Commands {
			for v, n := range command.Verdicts {
				if n > 0 {
					count(commandsDesc, n, tenant, command.Name, proxy.VerdictNames[v])
				}
			}
		}
		for i, n := range f.Rewrites {
			count(rewritesDesc, n, tenant, proxy.RewriteNames[i])
		}
		hits := map[string]int64{}
		for i, n := range f.Hits {
			if i < len(names[f.Name]) {
				hits[names[f.Name][i]] += n
			}
		}
		for rule, n := range hits {
			count(hitsDesc, n, tenant, rule)
		}
		ch <- constHistogram(totalDesc, f.Total, tenant)
		ch <- constHistogram(upstreamDesc, f.Upstream, tenant)
		count(clientByteDesc, f.BytesIn, tenant, "in")
		count(clientByteDesc, f.BytesOut, tenant, "out")
	}
}

// upstreams sends the figures by address, of which several tenants may have pools of their own.
func (c collector) upstreams(count, gauge func(*prometheus.Desc, int64, ...string)) {
	byAddr := map[string]*upstreamView{}
	for _, u := range c.a.upstreams() {
		sum := byAddr[u.Addr]
		if sum == nil {
			byAddr[u.Addr] = &u
			continue
		}
		sum.Up = sum.Up && u.Up
		sum.Links, sum.Dedicated, sum.InFlight = sum.Links+u.Links, sum.Dedicated+u.Dedicated, sum.InFlight+u.InFlight
		sum.Reconnects, sum.Holds, sum.BytesIn, sum.BytesOut = sum.Reconnects+u.Reconnects, sum.Holds+u.Holds, sum.BytesIn+u.BytesIn, sum.BytesOut+u.BytesOut
	}
	for addr, u := range byAddr {
		gauge(upDesc, is(u.Up), addr)
		gauge(linksDesc, u.Links, addr)
		gauge(dedicatedDesc, u.Dedicated, addr)
		gauge(inFlightDesc, u.InFlight, addr)
		count(reconnectsDesc, u.Reconnects, addr)
		count(holdsDesc, u.Holds, addr)
		count(upstreamByteDesc, u.BytesIn, addr, "in")
		count(upstreamByteDesc, u.BytesOut, addr, "out")
	}
}

func constHistogram(desc *prometheus.Desc, h proxy.Histogram, labels ...string) prometheus.Metric {
	buckets, sum := map[float64]uint64{}, uint64(0)
	for i, n := range h.Counts {
		if sum += uint64(n); i < len(proxy.Bounds) {
			buckets[proxy.Bounds[i].Seconds()] = sum
		}
	}
	return prometheus.MustNewConstHistogram(desc, sum, h.Sum.Seconds(), buckets, labels...)
}

func is(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}
