package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
)

// Names of the targets of -overhead, which all have the rules of withRules.
const (
	again      = "sessiongate-again"      // withRules a second time: what two processes differ by that differ in nothing
	noMetrics  = "sessiongate-no-metrics" // metrics: false
	unmeasured = "sessiongate-unmeasured" // no slow log either, so that the clock is hardly read
	traced     = "sessiongate-traced"     // one command in a hundred is traced
)

// overheadSettings is what they have besides.
var overheadSettings = map[string]string{
	again:      "",
	noMetrics:  "metrics: false\n",
	unmeasured: "metrics: false\nslow_log: 0\n",
	traced:     "tracing: {sample_ratio: 0.01, protocol: http/protobuf, endpoint: %q}\n",
}

// overheads are the pairs that -overhead compares: what is switched, a target with it on, and one with it off.
var overheads = []struct{ what, on, off string }{
	{"nothing", again, withRules},
	{"metrics", withRules, noMetrics},
	{"metrics, slow log", withRules, unmeasured},
	{"tracing, 1 in 100", traced, withRules},
}

func overheadStarter(name string) func(context.Context, proxies) (*process, error) {
	return func(ctx context.Context, p proxies) (*process, error) {
		settings := overheadSettings[name]
		if name == traced {
			settings = fmt.Sprintf(settings, p.collector)
		}
		return p.serve(ctx, name, "shared", p.rules+settings)
	}
}

// startCollector takes what is traced and throws it away.
func startCollector() (url string, stop func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ln) // ends when it is closed
	}()
	return "http://" + ln.Addr().String(), func() { _ = server.Close(); <-done }, nil
}

// reportOverheads writes a line for each pair and workload. A ratio is the median of those within each round.
func reportOverheads(out io.Writer, rows []row) {
	fmt.Fprint(out, "\n| load | command | switched on | requests/s without | with | × | CPU us without | with | × | spread |\n|---|---|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, off := range rows {
		for _, pair := range overheads {
			i := slices.IndexFunc(rows, func(r row) bool { return r.target == pair.on && r.workload.String() == off.workload.String() })
			if pair.off != off.target || i < 0 {
				continue
			}
			on := rows[i]
			fmt.Fprintf(out, "| %s | %s | %s | %.0f | %.0f | %.3f | %.2f | %.2f | %.3f | %.0f %% |\n", off.workload.load, off.workload.name, pair.what,
				off.median(rps), on.median(rps), medianRatio(on.values(rps), off.values(rps)),
				off.median(proxyCPU), on.median(proxyCPU), medianRatio(on.values(proxyCPU), off.values(proxyCPU)), max(on.spread(), off.spread()))
		}
	}
}
