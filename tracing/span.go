package tracing

import (
	"context"
	"net"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"sessiongate/proxy"
)

// Attributes that OpenTelemetry's conventions have no name for.
const (
	tenantKey  = attribute.Key("sessiongate.tenant")
	ruleKey    = attribute.Key("sessiongate.rule")
	verdictKey = attribute.Key("sessiongate.verdict")
	refusalKey = attribute.Key("sessiongate.refusal")
	keyKey     = attribute.Key("sessiongate.key")
)

// record makes the spans of a command: a root, as RESP brings no context, and, if the upstream was asked, one of that below it.
func record(tracer trace.Tracer, s proxy.Span) {
	common := []attribute.KeyValue{
		semconv.DBSystemNameRedis, semconv.DBOperationName(s.Command), semconv.DBNamespace(strconv.Itoa(s.DB)),
	}
	if s.Commands > 1 {
		common = append(common, semconv.DBOperationBatchSize(s.Commands))
	}
	own := append(common[:len(common):len(common)], verdictKey.String(proxy.VerdictNames[s.Verdict]))
	for _, a := range [...]struct {
		key  attribute.Key
		text string
	}{{tenantKey, s.Tenant}, {ruleKey, s.Rule}, {refusalKey, s.Refusal}, {keyKey, s.Key}} {
		if a.text != "" {
			own = append(own, a.key.String(a.text))
		}
	}
	host, port := split(s.Client)
	own = append(own, semconv.ClientAddress(host))
	if port > 0 {
		own = append(own, semconv.ClientPort(port))
	}
	if s.Error != "" {
		failure := []attribute.KeyValue{semconv.ErrorTypeKey.String(s.Error), semconv.DBResponseStatusCode(s.Error)}
		own = append(own, failure...)
	}
	ctx, span := tracer.Start(context.Background(), s.Command, trace.WithTimestamp(s.Began), trace.WithNewRoot(),
		trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(own...))
	if s.Error != "" {
		span.SetStatus(codes.Error, "")
	}
	if !s.Sent.IsZero() {
		upstream := common
		if host, port = split(s.Upstream); host != "" {
			upstream = append(upstream, semconv.ServerAddress(host))
		}
		if port > 0 {
			upstream = append(upstream, semconv.ServerPort(port))
		}
		_, below := tracer.Start(ctx, s.Command, trace.WithTimestamp(s.Sent), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(upstream...))
		below.End(trace.WithTimestamp(s.Answered))
	}
	span.End(trace.WithTimestamp(s.Ended))
}

// split takes an address apart. What has no port, as a UNIX socket or the name of a master, stays whole.
func split(addr string) (host string, port int) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, 0
	}
	port, _ = strconv.Atoi(text)
	return host, port
}
