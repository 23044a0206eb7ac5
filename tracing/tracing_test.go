package tracing

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"sessiongate/config"
	"sessiongate/proxy"
)

var traced = proxy.Span{Command: "GET", Tenant: "shop", Client: "127.0.0.1:1", Upstream: "127.0.0.1:2", Commands: 1,
	Began: time.Unix(1, 0), Ended: time.Unix(2, 0), Sent: time.Unix(1, 1), Answered: time.Unix(1, 2)}

func open(t *testing.T, c config.Tracing, to *zap.Logger) *Exporter {
	t.Helper()
	c.SampleRatio = 1
	e, err := Open(c, "1", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(0) })
	return e
}

func TestExporter_Sends(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(web.Close)
	e := open(t, config.Tracing{Protocol: overHTTP, Endpoint: web.URL}, zap.NewNop())
	const n = maxBatch + 7
	for range n {
		e.Trace(traced)
	}
	e.Close(time.Minute)
	if sent, lost := e.Counts(); sent != n || lost != 0 {
		t.Errorf("%d sent and %d lost, want all %d sent", sent, lost, n)
	}
}

// A collector that takes nothing keeps nobody waiting, neither those that trace nor the end, and leaves nothing behind. All that is
// lost is counted, and logged.
func TestExporter_Dead(t *testing.T) {
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	for _, protocol := range []string{"grpc", overHTTP} {
		before := runtime.NumGoroutine()
		core, logged := observer.New(zap.WarnLevel)
		e := open(t, config.Tracing{Protocol: protocol, Endpoint: "http://" + deaf.Addr().String()}, zap.New(core))
		const n = 3 * maxQueue
		began := time.Now()
		for range n {
			e.Trace(traced)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s: tracing took %v", protocol, took)
		}
		began = time.Now()
		e.Close(100 * time.Millisecond)
		if took := time.Since(began); took > 5*time.Second { // of a busy machine, too
			t.Errorf("%s: the end took %v", protocol, took)
		}
		if sent, lost := e.Counts(); sent != 0 || lost != n {
			t.Errorf("%s: %d sent and %d lost, want all %d lost", protocol, sent, lost, n)
		}
		total := int64(0)
		for _, line := range logged.FilterMessage("traces lost").All() {
			total += line.ContextMap()["commands"].(int64)
		}
		if total != n {
			t.Errorf("%s: the log says that %d are lost, want %d", protocol, total, n)
		}
		for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<16)
				t.Fatalf("%s: %d goroutines before, %d behind it\n%s", protocol, before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
			}
		}
	}
}

func TestOpen(t *testing.T) {
	off, err := Open(config.Tracing{}, "1", zap.NewNop())
	if off != nil || err != nil {
		t.Fatalf("got %v, %v where nothing is traced", off, err)
	}
	off.Close(time.Second)
	for _, c := range []config.Tracing{
		{SampleRatio: 1, Endpoint: "https://h:1", TLS: config.TracingTLS{CA: "/nonexistent"}},
		{SampleRatio: 1, Endpoint: "https://h:1", TLS: config.TracingTLS{CA: "tracing_test.go"}},
		{SampleRatio: 1, Endpoint: "https://h:1", TLS: config.TracingTLS{Cert: "tracing_test.go", Key: "tracing_test.go"}},
		{SampleRatio: 1, Headers: "x"},
	} {
		if _, err := Open(c, "1", zap.NewNop()); err == nil || !strings.HasPrefix(err.Error(), "tracing: ") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
	if _, err := Open(config.Tracing{SampleRatio: 1}, "1", zap.NewNop()); err == nil || !strings.Contains(err.Error(), `"http/json"`) {
		t.Errorf("an unknown protocol: %v", err)
	}
}

// grpcSink is a collector that takes everything.
type grpcSink struct {
	collector.UnimplementedTraceServiceServer
}

func (grpcSink) Export(context.Context, *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	return &collector.ExportTraceServiceResponse{}, nil
}

// Over TLS the collector's certificate is checked.
func TestExporter_TLS(t *testing.T) {
	web := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // it says that we hang up
	t.Cleanup(web.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
	collector.RegisterTraceServiceServer(server, grpcSink{})
	go func() { _ = server.Serve(ln) }() // ends with Stop
	t.Cleanup(server.Stop)

	for protocol, endpoint := range map[string]string{overHTTP: web.URL, "grpc": "https://" + ln.Addr().String()} {
		for file, want := range map[string]int64{ca: 1, "": 0} {
			limit := time.Minute
			if want == 0 {
				limit = time.Second // it would be tried again
			}
			e := open(t, config.Tracing{Protocol: protocol, Endpoint: endpoint, TLS: config.TracingTLS{CA: file}}, zap.NewNop())
			e.Trace(traced)
			e.Close(limit)
			if sent, lost := e.Counts(); sent != want || lost != 1-want {
				t.Errorf("%s with the authority %q: %d were sent and %d lost", protocol, file, sent, lost)
			}
		}
	}
}

func TestSplit(t *testing.T) {
	for addr, want := range map[string]struct {
		host string
		port int
	}{
		"127.0.0.1:6379": {"127.0.0.1", 6379}, "[::1]:7": {"::1", 7}, "/run/redis.sock": {"/run/redis.sock", 0}, "master mymaster": {"master mymaster", 0},
	} {
		if host, port := split(addr); host != want.host || port != want.port {
			t.Errorf("%s: %q, %d", addr, host, port)
		}
	}
}

// BenchmarkExport is what a traced command costs, all included but the wire.
func BenchmarkExport(b *testing.B) {
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b.Cleanup(web.Close)
	e, err := Open(config.Tracing{SampleRatio: 1, Protocol: overHTTP, Endpoint: web.URL}, "1", zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	e.Close(0) // its goroutine: this one does its work
	e.life = b.Context()
	s := traced
	s.Key, s.Rule = "sess:#0123456789ab", "web"
	for b.Loop() {
		e.add(s)
	}
}
