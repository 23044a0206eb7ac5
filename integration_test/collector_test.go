package integration_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// otlpCollector stands in for a collector of traces: it speaks OTLP and keeps what it is told.
type otlpCollector struct {
	collector.UnimplementedTraceServiceServer
	url string

	mu       sync.Mutex
	raw      []byte // all of it, as it came
	resource map[string]string
	headers  map[string]string
	all      []*spans.Span
}

// startCollector starts one for that protocol, which ends with the test.
func startCollector(t testing.TB, protocol string) *otlpCollector {
	t.Helper()
	ln, err := net.Listen("tcp", loopback(0))
	if err != nil {
		t.Fatal(err)
	}
	c := &otlpCollector{url: "http://" + ln.Addr().String(), headers: map[string]string{}}
	if protocol == "grpc" {
		server := grpc.NewServer()
		collector.RegisterTraceServiceServer(server, c)
		go server.Serve(ln)
		t.Cleanup(server.Stop)
		return c
	}
	server := &http.Server{Handler: c}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return c
}

// Export is what gRPC calls.
func (c *otlpCollector) Export(ctx context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	raw, err := proto.Marshal(r)
	if err != nil {
		return nil, err
	}
	sent, _ := metadata.FromIncomingContext(ctx)
	c.take(r, raw, func(name string) string { return strings.Join(sent.Get(name), ",") })
	return &collector.ExportTraceServiceResponse{}, nil
}

func (c *otlpCollector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(raw, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	c.take(&request, raw, r.Header.Get)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *otlpCollector) take(r *collector.ExportTraceServiceRequest, raw []byte, header func(string) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = append(c.raw, raw...)
	c.headers["authorization"] = header("authorization")
	for _, of := range r.ResourceSpans {
		c.resource = attributes(of.Resource.Attributes)
		for _, each := range of.ScopeSpans {
			c.all = append(c.all, each.Spans...)
		}
	}
}

// otlpSpan is one as the collector has it, with what is below it.
type otlpSpan struct {
	*spans.Span
	attributes map[string]string
	upstream   *otlpSpan // nil: none
}

// of returns the roots of that name.
func (c *otlpCollector) of(name string) (list []otlpSpan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.all {
		if s.Name != name || len(s.ParentSpanId) > 0 {
			continue
		}
		root := otlpSpan{Span: s, attributes: attributes(s.Attributes)}
		for _, below := range c.all {
			if string(below.ParentSpanId) == string(s.SpanId) && string(below.TraceId) == string(s.TraceId) {
				root.upstream = &otlpSpan{Span: below, attributes: attributes(below.Attributes)}
			}
		}
		list = append(list, root)
	}
	return list
}

// first waits for a root of that name.
func (c *otlpCollector) first(t testing.TB, name string) otlpSpan {
	t.Helper()
	eventually(t, "the collector has a span "+name, func() bool { return len(c.of(name)) > 0 })
	return c.of(name)[0]
}

func attributes(list []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range list {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			all[a.Key] = v.StringValue
		default:
			all[a.Key] = strings.TrimPrefix(a.Value.String(), "int_value:")
		}
	}
	return all
}
