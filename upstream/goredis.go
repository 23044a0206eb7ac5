package upstream

import (
	"bytes"
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tidwall/redcon"

	"sessiongate/resp"
)

// plain is a Link on a go-redis client: a pipeline of raw commands on a connection of its pool. It is what the
// shared link is measured against, and what can stand in for it.
type plain struct {
	pool   *Pool
	client *redis.Client
}

var (
	_ Link      = (*plain)(nil)
	_ Pipeliner = (*link)(nil)
)

var errCommands = errors.New("the request doesn't hold as many commands as it says")

// Do sends b and waits for its replies; see Link. Limits and Max are looked at when all replies are here.
func (p *plain) Do(ctx context.Context, b *Batch) error {
	b.Replies = nil
	c := call{req: b.Req, count: b.Count}
	if err := p.pool.load.enter(&c); err != nil {
		return p.pool.error(false, err)
	}
	defer p.pool.load.leave(&c)
	start, _ := p.pool.breaker.outage(nil)
	for attempt := 0; ; attempt++ {
		moved := p.pool.place.Load().left
		replies, again, err := p.attempt(ctx, b)
		wait, left := backoff(attempt), p.pool.cfg.Hold-time.Since(start)
		switch {
		case p.pool.ctx.Err() != nil && again:
			return p.pool.error(false, errClosed)
		case !again, ctx.Err() != nil, p.pool.cfg.Hold == 0:
			b.Replies = replies
			return err
		case wait > left:
			return p.pool.error(false, p.pool.gone(errors.Unwrap(err)))
		}
		p.pool.doubt()
		p.pool.breaker.pause(ctx, moved, wait, left)
	}
}

// attempt sends b unless the breaker is against it, and tells that what comes of it. again is whether another attempt may help.
func (p *plain) attempt(ctx context.Context, b *Batch) (replies []Reply, again bool, err error) {
	breaker := &p.pool.breaker
	if err = breaker.opened(); err != nil {
		return nil, true, p.pool.error(false, err)
	}
	if err = breaker.admit(); err != nil {
		return nil, false, p.pool.error(false, err)
	}
	if err := p.pool.lib.begin(ctx, p.pool); err != nil {
		return nil, false, p.pool.error(false, err)
	}
	at := p.pool.place.Load()
	replies, err = p.exec(ctx, b)
	p.pool.lib.busy.Add(-1)
	var slow net.Error
	switch {
	case ctx.Err() != nil:
	case err != nil && errors.Is(err, net.ErrClosed) && p.pool.place.Load() != at:
		err = p.pool.error(true, errLostByMove)
	case err == nil:
		breaker.connected()
		breaker.answered()
	case isDial(err) && p.pool.place.Load() != at:
		return nil, true, p.pool.error(false, errMoved)
	case isDial(err):
		breaker.refuse(err)
		return nil, true, p.pool.error(false, reason(p.pool.unanswered(err)))
	case errors.As(err, &slow) && slow.Timeout():
		err = p.pool.error(true, p.pool.late())
	case SafeToRetry(err):
		err = p.pool.error(false, reason(errors.Unwrap(err)))
	case !errors.Is(err, ErrFlood):
		err = p.pool.error(true, lossOf(errors.Unwrap(err)))
	}
	return replies, false, err
}

// exec is one attempt.
func (p *plain) exec(ctx context.Context, b *Batch) ([]Reply, error) {
	var out bytes.Buffer
	cmds := make([]*redis.RawWriteToCmd, 0, b.Count)
	pipe := p.client.Pipeline()
	for rest := b.Req; len(rest) > 0; {
		complete, args, _, left, err := redcon.ReadNextCommand(rest, nil)
		if err != nil || !complete || len(args) == 0 {
			return nil, p.pool.error(false, errCommands)
		}
		cmd := redis.NewRawWriteToCmd(ctx, &out, boxed(args)...)
		if err := pipe.Process(ctx, cmd); err != nil {
			return nil, p.pool.error(false, err)
		}
		cmds, rest = append(cmds, cmd), left
	}
	if len(cmds) != b.Count {
		return nil, p.pool.error(false, errCommands)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, p.pool.error(!unsent(err), err)
	}
	raw := out.Bytes()
	if b.Max > 0 && b.Count > 1 && int64(len(raw)) > b.Max {
		return nil, ErrFlood
	}
	replies := make([]Reply, len(cmds))
	for i, cmd := range cmds {
		n := int(cmd.Val())
		if n > 0 && raw[0] == '-' {
			p.pool.refused(raw[:n])
		}
		replies[i] = within(raw[:n:n], b.Limits, i)
		raw = raw[n:]
	}
	return replies, nil
}

// Close closes the client's connections.
func (p *plain) Close() error { return p.client.Close() }

// boxed turns arguments into what go-redis takes. It wants the name as a string.
func boxed(args [][]byte) []any {
	all := make([]any, len(args))
	for i, a := range args {
		all[i] = a
	}
	all[0] = string(args[0])
	return all
}

// within is the i-th reply, or how far it is above its limit.
func within(raw []byte, limits []int64, i int) Reply {
	if i < len(limits) && limits[i] > 0 {
		var s resp.Scanner
		if _, _, err := s.Scan(raw); err == nil && s.Longest > limits[i] {
			return Reply{Over: s.Longest}
		}
	}
	return Reply{Raw: raw}
}

// unsent reports whether err arose before anything could be written. Error replies to commands are no errors here, so
// one that comes as an error was the answer to go-redis's own handshake.
func unsent(err error) bool {
	var reply redis.Error
	return isDial(err) || errors.As(err, &reply) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrClosed)
}

func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || errors.Is(err, errNoMaster)
}
