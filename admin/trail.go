package admin

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sessiongate/config"
	"sessiongate/proxy"
)

// Trail is the audit log: who was refused what, who logged in, and what operators did. Writing never keeps a client waiting: what can't
// be written fast enough is left out, and the next line says how much that was.
type Trail struct {
	log     *zap.Logger
	file    *trailFile // nil: the log goes elsewhere
	lines   chan trailLine
	dropped atomic.Int64
	quit    chan struct{} // closed when no more is to come
	done    chan struct{} // closed when all is written
}

type trailLine struct {
	event  string
	fields []zap.Field
}

// queuedLines is how many lines may wait to be written.
const queuedLines = 4096

// OpenTrail opens the audit log that the configuration names, nil if none. log is the program's.
func OpenTrail(c config.Log, log *zap.Logger) (*Trail, error) {
	if c.Audit == config.AuditOff {
		return nil, nil
	}
	t := &Trail{log: log, lines: make(chan trailLine, queuedLines), quit: make(chan struct{}), done: make(chan struct{})}
	if c.Audit != config.AuditLog {
		t.file = &trailFile{path: c.Audit}
		if err := t.file.open(); err != nil {
			return nil, fmt.Errorf("log.audit: %w", err)
		}
		conf := zap.NewProductionEncoderConfig()
		conf.TimeKey, conf.EncodeTime, conf.LevelKey, conf.MessageKey = "time", zapcore.ISO8601TimeEncoder, "", "event"
		conf.EncodeDuration = zapcore.StringDurationEncoder
		t.log = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(conf), t.file, zapcore.InfoLevel))
	}
	go t.run()
	return t, nil
}

func (t *Trail) run() {
	defer close(t.done)
	for {
		select {
		case line := <-t.lines:
			t.write(line)
			continue
		case <-t.quit:
		}
		for { // what is left
			select {
			case line := <-t.lines:
				t.write(line)
			default:
				return
			}
		}
	}
}

func (t *Trail) write(line trailLine) {
	if n := t.dropped.Swap(0); n > 0 {
		line.fields = append(line.fields, zap.Int64("lost_before", n))
	}
	if t.file != nil {
		t.log.Info(line.event, line.fields...)
	} else {
		t.log.Info("audit", append([]zap.Field{zap.String("event", line.event)}, line.fields...)...)
	}
}

// Close writes what is left. What is added after it is lost.
func (t *Trail) Close() {
	if t == nil {
		return
	}
	close(t.quit)
	<-t.done
	if t.file != nil {
		_ = t.file.f.Close()
	}
}

// Reopen has the next line go to a new file of the same name, after the old one was moved away.
func (t *Trail) Reopen() {
	if t != nil && t.file != nil {
		t.file.stale.Store(true)
	}
}

// Event takes down what the proxy tells.
func (t *Trail) Event(e proxy.Event) {
	if t == nil {
		return
	}
	fields := []zap.Field{zap.Int64("client", e.Client.ID), zap.String("addr", e.Client.Addr), zap.String("client_name", e.Client.Name)}
	for _, f := range [...]struct{ name, text string }{{"tenant", e.Tenant}, {"user", e.User}, {"command", e.Command}, {"rule", e.Rule}, {"kind", e.Reason}, {"reason", e.Text}} {
		if f.text != "" {
			fields = append(fields, zap.String(f.name, f.text))
		}
	}
	t.add(e.Kind, fields...)
}

// Reloaded takes down that the configuration was put into force anew, or why not.
func (t *Trail) Reloaded(why string, err error) {
	fields := []zap.Field{zap.String("why", why), zap.Bool("ok", err == nil)}
	if err != nil {
		fields = append(fields, zap.String("error", err.Error()))
	}
	t.add("reload", fields...)
}

func (t *Trail) add(event string, fields ...zap.Field) {
	if t == nil {
		return
	}
	select {
	case t.lines <- trailLine{event, fields}:
	default:
		t.dropped.Add(1)
	}
}

// trailFile is a file that only grows. It is the Trail's goroutine's.
type trailFile struct {
	path  string
	mu    sync.Mutex // zap may call from anywhere
	f     *os.File
	stale atomic.Bool
}

func (f *trailFile) open() (err error) {
	f.f, err = os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	return err
}

// Write writes one line.
func (f *trailFile) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stale.CompareAndSwap(true, false) {
		old := f.f
		if err := f.open(); err != nil {
			f.f = old // better than none
		} else {
			_ = old.Close()
		}
	}
	return f.f.Write(line)
}

// Sync is for zap.
func (f *trailFile) Sync() error { return f.f.Sync() }

// acted logs what an operator has done, and takes it down.
func (a *Admin) acted(who, what string, fields ...zap.Field) {
	fields = append([]zap.Field{zap.String("action", what), zap.String("by", who)}, fields...)
	if t := a.cfg.Trail; t == nil || t.file != nil {
		a.cfg.Log.Info("admin", fields...)
	}
	a.cfg.Trail.add("admin", fields...)
}
