package upstream

import (
	"bufio"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

var errUnchecked = errors.New("not checked yet")

// health is what we know of the upstream as a whole.
type health struct {
	began   time.Time    // of the local monotonic clock's reckoning
	answer  atomic.Int64 // when the upstream last answered a health check, even with an error, in nanoseconds since began
	ahead   atomic.Int64 // upstream's clock in Unix microseconds minus microseconds since began
	comings atomic.Uint64
	why     atomic.Pointer[error]
	version atomic.Pointer[string]
	trip    atomic.Int64 // nanoseconds that the last health check took
	apart   atomic.Bool  // it is a replica that hears nothing from its master
}

func (h *health) begin() {
	h.began = time.Now()
	h.ahead.Store(h.began.UnixMicro()) // until the upstream has been asked, our own clock must do
	h.why.Store(&errUnchecked)
}

// set notes why the upstream is down, nil for up.
func (h *health) set(why error) { h.why.Store(&why) }

// setClock notes that the upstream's clock stood at clock, Unix microseconds, between asked and told.
func (h *health) setClock(clock int64, asked, told time.Time) {
	middle := asked.Add(told.Sub(asked) / 2)
	h.ahead.Store(clock - middle.Sub(h.began).Microseconds())
}

// Now is the upstream's clock in Unix milliseconds: our monotonic clock plus the difference last measured.
func (p *Pool) Now() int64 {
	if p.cluster != nil {
		return p.cluster.now()
	}
	return (time.Since(p.health.began).Microseconds() + p.health.ahead.Load()) / 1000
}

// Health says whether the last health check found the upstream up, and if not, why.
func (p *Pool) Health() (up bool, why error) {
	if p.cluster != nil {
		why = p.cluster.health()
		return why == nil, why
	}
	if why = *p.health.why.Load(); why == nil {
		why = p.breaker.trouble()
	}
	return why == nil, why
}

// Ready says why the upstream can't be used, nil if it can.
func (p *Pool) Ready() error {
	if _, why := p.Health(); why != nil {
		return p.error(false, why)
	}
	return nil
}

// Comings is how often Admin has connected: what it is connected to now may be another server than at the last coming.
func (p *Pool) Comings() uint64 { return p.health.comings.Load() }

// alive reports whether the upstream has answered lately, if only to say that a script keeps it busy.
func (p *Pool) alive(now time.Time) bool {
	return now.Sub(p.health.began)-time.Duration(p.health.answer.Load()) < 2*max(p.opt.ReadTimeout, p.cfg.HealthInterval)
}

// Alive reports whether the upstream has answered a health check lately, if only to say that a script keeps it busy: who waits
// for a script may go on waiting.
// Where the pool is sharded, all masters have to.
func (p *Pool) Alive() bool {
	if p.cluster != nil {
		return p.cluster.alive()
	}
	return p.alive(time.Now())
}

// Version is the upstream's redis_version, the oldest of those of its nodes; empty until it has been seen.
func (p *Pool) Version() string {
	if p.cluster != nil {
		return p.cluster.version()
	}
	if v := p.health.version.Load(); v != nil {
		return *v
	}
	return ""
}

// learn notes that the upstream is there, and what it told in a handshake.
func (p *Pool) learn(h hello) {
	p.health.set(nil)
	if h.version != "" {
		p.health.version.Store(&h.version)
	}
	if h.clock != 0 {
		p.health.setClock(h.clock, h.asked, h.told)
	}
}

// runHealth asks the upstream for its time, again and again, until the Pool closes.
func (p *Pool) runHealth() {
	defer p.wg.Done()
	for was := errUnchecked; p.ctx.Err() == nil; {
		err := p.ask()
		if p.ctx.Err() != nil {
			return
		}
		if said := redis.Error(nil); err == nil || errors.As(err, &said) {
			p.health.answer.Store(int64(time.Since(p.health.began)))
		}
		p.health.set(err)
		switch {
		case err != nil && (was == nil || errors.Is(was, errUnchecked)):
			p.trouble()
			p.log.Warn("upstream is down", zap.String("addr", p.Addr()), zap.Error(err))
		case err == nil && was != nil:
			p.log.Info("upstream is up", zap.String("addr", p.Addr()), zap.String("version", p.Version()))
		}
		if err == nil {
			p.breaker.quiet()
		}
		was = err
		if p.unproven() {
			_ = p.tryIdentity(p.ctx) // why it was refused has been logged
		}
		pause(p.ctx, p.cfg.HealthInterval)
	}
}

// ask is one health check.
func (p *Pool) ask() error {
	ctx, cancel := context.WithTimeout(p.ctx, p.opt.DialTimeout+p.opt.ReadTimeout)
	defer cancel()
	if p.health.version.Load() == nil {
		info, err := p.admin.Info(ctx, "server").Result()
		if answered := redis.Error(nil); err != nil && !errors.As(err, &answered) {
			return reason(err)
		}
		version := infoField(info, "redis_version")
		p.health.version.Store(&version)
	}
	asked := time.Now()
	clock, err := p.admin.Time(ctx).Result()
	if err != nil {
		return reason(err)
	}
	told := time.Now()
	p.health.setClock(clock.UnixMicro(), asked, told)
	p.health.trip.Store(int64(told.Sub(asked)))
	if p.follows.Load() {
		info, err := p.admin.Info(ctx, "replication").Result()
		p.health.apart.Store(err != nil || infoField(info, "master_link_status") == "down")
	}
	return nil
}

// infoField returns a field of an INFO reply.
func infoField(info, name string) string {
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && key == name {
			return value
		}
	}
	return ""
}
