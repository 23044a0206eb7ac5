package tracing

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.uber.org/zap"
	"google.golang.org/grpc/credentials"

	"sessiongate/config"
)

// overHTTP is the protocol that isn't gRPC.
const overHTTP = "http/protobuf"

// dial returns the exporter that the configuration asks for. What that leaves out it takes from the environment, as the SDK does. It
// connects when there is something to send.
func dial(c config.Tracing) (*otlptrace.Exporter, error) {
	headers, err := c.HeaderMap()
	if err != nil {
		return nil, err
	}
	var conf *tls.Config
	if c.TLS != (config.TracingTLS{}) {
		if conf, err = clientTLS(c.TLS); err != nil {
			return nil, err
		}
	}
	protocol := cmp.Or(c.Protocol, fromEnv("PROTOCOL"), "grpc")
	endpoint := c.Endpoint
	if endpoint == "" && fromEnv("ENDPOINT") == "" { // the SDK would try TLS there
		endpoint = map[string]string{"grpc": "http://localhost:4317", overHTTP: "http://localhost:4318"}[protocol]
	}
	switch protocol {
	case "grpc":
		return overGRPC(endpoint, headers, conf)
	case overHTTP:
		return overHTTPTo(endpoint, headers, conf)
	}
	return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q, and only grpc and %s are spoken", protocol, overHTTP)
}

func overGRPC(endpoint string, headers map[string]string, conf *tls.Config) (*otlptrace.Exporter, error) {
	var options []otlptracegrpc.Option
	if endpoint != "" {
		options = append(options, otlptracegrpc.WithEndpointURL(endpoint))
	}
	if len(headers) > 0 {
		options = append(options, otlptracegrpc.WithHeaders(headers))
	}
	if conf != nil {
		options = append(options, otlptracegrpc.WithTLSCredentials(credentials.NewTLS(conf)))
	}
	return otlptracegrpc.New(context.Background(), options...)
}

func overHTTPTo(endpoint string, headers map[string]string, conf *tls.Config) (*otlptrace.Exporter, error) {
	var options []otlptracehttp.Option
	if endpoint != "" {
		at, err := url.Parse(endpoint)
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(at.Path, "/v1/traces") { // as with OTEL_EXPORTER_OTLP_ENDPOINT
			at = at.JoinPath("v1", "traces")
		}
		options = append(options, otlptracehttp.WithEndpointURL(at.String()))
	}
	if len(headers) > 0 {
		options = append(options, otlptracehttp.WithHeaders(headers))
	}
	if conf != nil {
		options = append(options, otlptracehttp.WithTLSClientConfig(conf))
	}
	return otlptracehttp.New(context.Background(), options...)
}

// fromEnv is what the variables of OpenTelemetry say of a setting, that for traces before that for all.
func fromEnv(setting string) string {
	return cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_"+setting), os.Getenv("OTEL_EXPORTER_OTLP_"+setting))
}

func clientTLS(c config.TracingTLS) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, err
		}
		if conf.RootCAs = x509.NewCertPool(); !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, err
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// describe says who sends: what the environment says wins over what we are, and the configuration over both.
func describe(name, version string, log *zap.Logger) *resource.Resource {
	options := []resource.Option{
		resource.WithAttributes(semconv.ServiceName("sessiongate"), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv(),
	}
	if name != "" {
		options = append(options, resource.WithAttributes(semconv.ServiceName(name)))
	}
	r, err := resource.New(context.Background(), options...)
	if err != nil { // r is what could be made of it
		log.Warn("tracing: OTEL_RESOURCE_ATTRIBUTES", zap.Error(err))
	}
	return r
}
