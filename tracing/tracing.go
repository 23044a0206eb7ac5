// Package tracing tells an OpenTelemetry collector, over OTLP, of the commands that the proxy traces. It knows neither clients nor how
// commands are chosen, and the proxy knows nothing of OpenTelemetry.
//
//	e, err := tracing.Open(cfg.Tracing, version, log)
//	server := proxy.New(proxy.Config{Trace: e.Trace, ...}, ...)
//	defer e.Close(limit)
package tracing

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"sessiongate/config"
	"sessiongate/proxy"
)

const (
	maxQueue   = 4096 // commands that wait to be sent
	maxBatch   = 512  // commands in one request
	sendEvery  = time.Second
	logEvery   = time.Minute
	mostOfSend = 10 * time.Second // for a request with all its retries; OTEL_EXPORTER_OTLP_TIMEOUT is for each
)

// Exporter sends what it is told, a batch at a time. Nobody ever waits for it: what can't be sent fast enough, or at all, is lost, counted
// and logged. The queue of the SDK's own batches would lose it without a count.
type Exporter struct {
	log    *zap.Logger
	to     *otlptrace.Exporter
	tracer trace.Tracer
	queue  chan proxy.Span

	made    gathered // the batch at hand, of this goroutine alone
	pending int      // commands in it

	sent, lost atomic.Int64 // commands
	logged     time.Time    // when it was last said how many are lost
	said       int64        // how many that were
	why        error        // of the last

	life context.Context // ends when nothing may be waited for any more
	cut  context.CancelFunc
	once sync.Once
	quit chan struct{} // closed when no more is to come
	done chan struct{} // closed when all is sent or lost
}

// gathered is where the SDK leaves spans that have ended.
type gathered []sdk.ReadOnlySpan

// Open begins to send. It returns nil if nothing is traced. The collector need not be there.
func Open(c config.Tracing, version string, log *zap.Logger) (*Exporter, error) {
	if !c.On() {
		return nil, nil
	}
	to, err := dial(c)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	e := &Exporter{
		log: log, to: to, queue: make(chan proxy.Span, maxQueue),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	e.life, e.cut = context.WithCancel(context.Background())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Debug("tracing", zap.Error(err)) }))
	provider := sdk.NewTracerProvider(
		sdk.WithSampler(sdk.AlwaysSample()), // what comes here has been chosen
		sdk.WithSpanProcessor(&e.made),
		sdk.WithResource(describe(c.ServiceName, version, log)))
	e.tracer = provider.Tracer("sessiongate", trace.WithInstrumentationVersion(version))
	go e.run()
	return e, nil
}

// Trace takes a command down, or loses it. It never blocks.
func (e *Exporter) Trace(s proxy.Span) {
	select {
	case e.queue <- s:
	default:
		e.lost.Add(1)
	}
}

// Counts says how many commands were sent and how many lost.
func (e *Exporter) Counts() (sent, lost int64) { return e.sent.Load(), e.lost.Load() }

// Close sends what is left, for so long at most. What is traced after it is lost.
func (e *Exporter) Close(limit time.Duration) {
	if e == nil {
		return
	}
	e.once.Do(func() {
		defer time.AfterFunc(max(limit, 0), e.cut).Stop()
		close(e.quit)
		<-e.done
		_ = e.to.Shutdown(e.life) // nothing is under way
		e.cut()
	})
}

func (e *Exporter) run() {
	defer close(e.done)
	tick := time.NewTicker(sendEvery)
	defer tick.Stop()
	for {
		select {
		case s := <-e.queue:
			e.add(s)
		case <-tick.C:
			e.send()
			e.report(false)
		case <-e.quit:
			for len(e.queue) > 0 {
				e.add(<-e.queue)
			}
			e.send()
			e.report(true)
			return
		}
	}
}

func (e *Exporter) add(s proxy.Span) {
	if e.life.Err() != nil { // there is no time left to send it
		e.lost.Add(1)
		return
	}
	record(e.tracer, s)
	if e.pending++; e.pending == maxBatch {
		e.send()
	}
}

func (e *Exporter) send() {
	if e.pending == 0 {
		return
	}
	limit, cancel := context.WithTimeout(e.life, mostOfSend)
	defer cancel()
	if err := e.to.ExportSpans(limit, e.made); err != nil {
		e.lost.Add(int64(e.pending))
		e.why = err
	} else {
		e.sent.Add(int64(e.pending))
	}
	clear(e.made)
	e.made, e.pending = e.made[:0], 0
}

// report logs how many were lost since the last time, if any were, and at most once in a while.
func (e *Exporter) report(atOnce bool) {
	n := e.lost.Load() - e.said
	if n == 0 || !atOnce && time.Since(e.logged) < logEvery {
		return
	}
	e.said, e.logged = e.said+n, time.Now()
	e.log.Warn("traces lost", zap.Int64("commands", n), zap.Error(e.why))
	e.why = nil
}

// OnStart, OnEnd, Shutdown and ForceFlush make it a processor of spans for the SDK.
func (g *gathered) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd keeps a span.
func (g *gathered) OnEnd(s sdk.ReadOnlySpan) { *g = append(*g, s) }

// Shutdown does nothing.
func (g *gathered) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing.
func (g *gathered) ForceFlush(context.Context) error { return nil }
