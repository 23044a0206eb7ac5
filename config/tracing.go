package config

import (
	"fmt"
	"net/url"
	"strings"
)

// Tracing has some commands traced, and tells an OpenTelemetry collector of them. What is left out is as the variables say that
// OpenTelemetry has for it, such as OTEL_EXPORTER_OTLP_ENDPOINT.
type Tracing struct {
	SampleRatio float64    `yaml:"sample_ratio"` // of commands that are traced, as 0.01; 0: none, and nothing is sent
	Endpoint    string     `yaml:"endpoint"`     // of the collector, http:// or, for TLS, https://; "": one on this machine
	Protocol    string     `yaml:"protocol"`     // "grpc" or "http/protobuf"; "": grpc
	Headers     Secret     `yaml:"headers"`      // what to send along, as name=value, name=value
	ServiceName string     `yaml:"service_name"` // of the spans; "": sessiongate
	TLS         TracingTLS `yaml:"tls"`          // for https://
}

// TracingTLS is how to check the collector's certificate, and what to show it.
type TracingTLS struct {
	CA   string `yaml:"ca"`   // PEM file; "": the system's authorities
	Cert string `yaml:"cert"` // PEM file
	Key  string `yaml:"key"`  // PEM file
}

// On tells whether anything is traced.
func (t Tracing) On() bool { return t.SampleRatio > 0 }

// HeaderMap returns the headers by name. Values are percent-encoded, as in OTEL_EXPORTER_OTLP_HEADERS.
func (t Tracing) HeaderMap() (map[string]string, error) {
	all := map[string]string{}
	for i, pair := range strings.Split(t.Headers.Reveal(), ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || !isHeader(name, value) {
			return nil, fmt.Errorf("header %d is not name=value", i+1) // its text is a secret
		}
		all[name] = value
	}
	return all, nil
}

// isHeader reports whether HTTP and gRPC can carry the header.
func isHeader(name, value string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	}) && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
}

func (l *ledger) tracing(t Tracing) {
	if !(t.SampleRatio >= 0 && t.SampleRatio <= 1) { // not a number is neither
		l.judge("tracing.sample_ratio", fmt.Sprintf("%v is not between 0 and 1", t.SampleRatio), "write 0.01 for one command in a hundred")
		return
	}
	if t.Protocol != "" {
		l.oneOf("tracing.protocol", t.Protocol, "grpc", "http/protobuf")
	}
	if !t.On() {
		if t != (Tracing{}) {
			l.judge("tracing", "is of no use: tracing.sample_ratio is not set", "write sample_ratio: 0.01 for one command in a hundred")
		}
		return
	}
	secure := true // as far as is known
	if t.Endpoint != "" {
		u, err := url.Parse(t.Endpoint)
		switch {
		case strings.Contains(t.Endpoint, "@"):
			l.judge("tracing.endpoint", "holds a user", "write what the collector wants to see as tracing.headers")
		case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "":
			l.judge("tracing.endpoint", fmt.Sprintf("%q is not the address of a collector", clip(t.Endpoint)), "write http://127.0.0.1:4317, or https:// for TLS")
		case t.Protocol == "grpc" && strings.Trim(u.Path, "/") != "":
			l.judge("tracing.endpoint", fmt.Sprintf("%q has a path, and gRPC has none", clip(t.Endpoint)), "leave it out, or write protocol: http/protobuf")
		default:
			secure = u.Scheme == "https"
		}
	}
	if !secure && t.TLS != (TracingTLS{}) {
		l.judge("tracing.tls", "is of no use: the collector's address is not https://", "")
	}
	if (t.TLS.Cert == "") != (t.TLS.Key == "") {
		l.judge("tracing.tls", "needs both cert and key, or neither", "")
	}
	if _, err := t.HeaderMap(); err != nil && t.Headers != mask { // a configuration that was printed can be read
		l.judge("tracing.headers", err.Error(), "write name=value, with commas between, and other characters than letters and digits as %20")
	}
}
