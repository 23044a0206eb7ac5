package integration_test

import (
	"bytes"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const tracedRules = `namespace: "app:"
rules:
  - {name: web, keys: ["sess:*"], expiry: {default: 30m, max: 12h}, size: {value: 100}}
  - {name: rest, expiry: {default: 1h}, commands: {deny: [GETDEL]}}
`

// has fails the test if a span lacks one of the attributes: name and value in turns, an empty value for one that must not be there.
func (s otlpSpan) has(t testing.TB, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got, given := s.attributes[pairs[i]]; got != pairs[i+1] || given && pairs[i+1] == "" {
			t.Errorf("%s: %s is %q, want %q", s.Name, pairs[i], got, pairs[i+1])
		}
	}
}

// A collector hears of each command that is traced, and of nothing that a client keeps.
func TestTracing(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			r, to := startRedis(t), startCollector(t, protocol)
			g := startGate(t, r.upstream()+tracedRules+"tracing: {sample_ratio: 1, protocol: "+protocol+", endpoint: \""+to.url+"\", headers: \"authorization=Bearer%20abc\", service_name: gate-7}\n")
			c := dial(t, g.addr)
			c.want(ok, "SET", "sess:keepthisid", "keepthisvalue")
			c.want(bulk("keepthisvalue"), "GET", "sess:keepthisid")
			c.wantPrefix("-DENIED size", "APPEND sess:keepthisid "+strings.Repeat("keepthisvalue", 9))
			c.wantPrefix("-NOPERM", "GETDEL keepthisother")
			c.wantPrefix("-WRONGTYPE", "LPUSH sess:keepthisid keepthisvalue")
			c.wantPrefix("-ERR unknown", "KEEPTHISCOMMAND keepthisvalue")
			c.want("-KEEPTHISERROR x\r\n", "EVAL", "return redis.error_reply('KEEPTHISERROR x')", "1", "sess:keepthisid")
			c.want(pong, "PING")
			c.wantPrefix("-WRONGPASS", "AUTH keepthisuser keepthispassword")
			c.pipeline("HSET sess:keepthishash keepthisfield keepthisvalue", "HGETALL sess:keepthishash", "STRLEN sess:keepthisid")
			c.line("BLPOP sess:keepthislist 0.01")
			c.line("OBJECT ENCODING sess:keepthisid") // the last

			to.first(t, "OBJECT ENCODING")
			set := to.first(t, "SET")
			set.has(t, "db.system.name", "redis", "db.operation.name", "SET", "db.namespace", "0", "sessiongate.tenant", "default",
				"sessiongate.rule", "web", "sessiongate.verdict", "rewritten", "sessiongate.refusal", "", "error.type", "", "client.address", "127.0.0.1",
				"db.operation.batch.size", "")
			if key := set.attributes["sessiongate.key"]; len(key) != len("sess:#")+12 || !strings.HasPrefix(key, "sess:#") {
				t.Errorf("the key is %q, want it shortened", key)
			}
			if set.upstream == nil {
				t.Fatal("SET has no span of the upstream")
			}
			host, port, _ := net.SplitHostPort(r.addr)
			set.upstream.has(t, "db.system.name", "redis", "server.address", host, "server.port", port)
			if up := set.upstream; up.StartTimeUnixNano < set.StartTimeUnixNano || up.EndTimeUnixNano <= up.StartTimeUnixNano || up.EndTimeUnixNano > set.EndTimeUnixNano {
				t.Errorf("SET took from %d to %d, the upstream from %d to %d", set.StartTimeUnixNano, set.EndTimeUnixNano, up.StartTimeUnixNano, up.EndTimeUnixNano)
			}
			if at := time.Unix(0, int64(set.StartTimeUnixNano)); time.Since(at) > time.Minute || time.Since(at) < 0 {
				t.Errorf("SET began at %v", at)
			}
			to.first(t, "GETDEL").has(t, "sessiongate.verdict", "refused", "sessiongate.refusal", "commands", "sessiongate.rule", "rest", "error.type", "NOPERM")
			if to.first(t, "GETDEL").upstream != nil {
				t.Error("GETDEL was refused and has a span of the upstream")
			}
			to.first(t, "APPEND").has(t, "sessiongate.refusal", "size", "sessiongate.rule", "web", "error.type", "DENIED", "db.response.status_code", "DENIED")
			to.first(t, "LPUSH").has(t, "error.type", "WRONGTYPE", "sessiongate.refusal", "")
			to.first(t, "(unknown)").has(t, "sessiongate.verdict", "unknown", "error.type", "ERR", "sessiongate.key", "")
			to.first(t, "EVAL").has(t, "error.type", "_OTHER", "sessiongate.rule", "web")
			to.first(t, "PING").has(t, "sessiongate.verdict", "local", "sessiongate.key", "")
			to.first(t, "AUTH").has(t, "sessiongate.verdict", "local", "error.type", "WRONGPASS", "sessiongate.key", "")
			to.first(t, "HGETALL").has(t, "db.operation.batch.size", "3")
			if blpop := to.first(t, "BLPOP"); blpop.EndTimeUnixNano-blpop.StartTimeUnixNano < 10_000_000 {
				t.Errorf("BLPOP took %d ns, want what it waited", blpop.EndTimeUnixNano-blpop.StartTimeUnixNano)
			}

			to.mu.Lock()
			defer to.mu.Unlock()
			if to.resource["service.name"] != "gate-7" || to.headers["authorization"] != "Bearer abc" {
				t.Errorf("it comes from %v with %v", to.resource, to.headers)
			}
			for _, bad := range []string{"keepthis", "KEEPTHIS", "app:"} {
				if i := bytes.Index(to.raw, []byte(bad)); i >= 0 {
					t.Errorf("the collector was told %q", to.raw[max(0, i-60):i+60])
				}
			}
		})
	}
}

// What is not set is as OpenTelemetry's own variables say, and how many are traced as the ratio does.
func TestTracing_Environment(t *testing.T) {
	t.Parallel()
	r, to := startRedis(t), startCollector(t, "http/protobuf")
	addr := loopback(freePort(t))
	g := runGate(t, program, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + to.url, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_SERVICE_NAME=by-env"},
		"serve", "--config", writeFile(t, "c.yaml", "listen: "+addr+"\n"+r.upstream()+"tracing: {sample_ratio: 0.1}\nlog: {keys: hashed}\n"))
	g.waitFor(t, "tcp", addr)
	c := dial(t, addr)
	const n = 3000
	c.send(strings.Repeat(encode("GET", "sess:1"), n))
	for range n {
		c.want(null, "GET", "sess:1")
	}
	for range n {
		c.read()
	}
	g.signal(t, syscall.SIGTERM) // what is left is sent before the end
	<-g.done
	if got := len(to.of("GET")); got < 400 || got > 800 { // of 6000 one in ten; the standard deviation is 23
		t.Errorf("%d commands were traced, want about 600", got)
	}
	if first := to.first(t, "GET"); first.attributes["sessiongate.key"][0] != '#' || to.resource["service.name"] != "by-env" {
		t.Errorf("got %v from %v", first.attributes, to.resource)
	}
}

// A collector that is not there, or doesn't answer, costs traces and nothing else.
func TestTracing_Dead(t *testing.T) {
	t.Parallel()
	deaf, err := net.Listen("tcp", loopback(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deaf.Close() })
	endpoints := map[string]string{"nobody listens": "http://" + loopback(freePort(t)), "nobody answers": "http://" + deaf.Addr().String()}
	for _, name := range slices.Sorted(maps.Keys(endpoints)) {
		for _, protocol := range []string{"grpc", "http/protobuf"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				t.Parallel()
				r := startRedis(t)
				admin := loopback(freePort(t))
				g := startGate(t, r.upstream()+"admin: {listen: "+admin+"}\ntracing: {sample_ratio: 1, protocol: "+protocol+", endpoint: \""+endpoints[name]+"\"}\n")
				c := dial(t, g.addr)
				const n, slow = 20_000, time.Second
				go c.Write([]byte(strings.Repeat(encode("SET", "k", "v"), n)))
				for range n {
					if got := c.read(); got != ok {
						t.Fatalf("got %q", got)
					}
				}
				began := time.Now()
				c.want(ok, "SET", "k", "v")
				if took := time.Since(began); took > slow {
					t.Errorf("a command took %v", took)
				}
				eventually(t, "lost ones are counted", func() bool {
					_, text := ask(t, http.DefaultClient, "GET", "http://"+admin+"/metrics", "", "")
					_, after, _ := strings.Cut(text, `sessiongate_traced_commands_total{result="lost"} `)
					return len(after) > 0 && after[0] != '0' && strings.Contains(text, `sessiongate_traced_commands_total{result="sent"} 0`)
				})
				c.Close()
				began = time.Now()
				g.signal(t, syscall.SIGTERM)
				<-g.done
				if took := time.Since(began); took > 4*time.Second { // drain is 2 s
					t.Errorf("the end took %v", took)
				}
				if !strings.Contains(g.out.String(), "traces lost") {
					t.Error("the log doesn't say that traces are lost")
				}
			})
		}
	}
}
