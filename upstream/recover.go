package upstream

import (
	"context"
	"time"
)

// recoverTries is how often Recover looks whether things are right again.
const recoverTries = 20 * time.Millisecond

// Recover returns when the upstream answers and every link in use is connected, or with the reason why not when ctx ends. It is for
// after a restart of the upstream that somebody has planned.
func (p *Pool) Recover(ctx context.Context) error {
	for _, master := range p.Masters() {
		if err := master.recover(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pool) recover(ctx context.Context) error {
	for {
		err := p.admin.Ping(ctx).Err()
		if err == nil {
			err = p.linksDown()
		}
		if err == nil {
			return nil
		}
		pause(ctx, recoverTries)
		if ctx.Err() != nil {
			return reason(err)
		}
	}
}

// linksDown says why a link that is in use is not connected, nil if all are.
func (p *Pool) linksDown() error {
	for _, l := range p.links() {
		l.mu.Lock()
		conn, why := l.conn, l.why
		l.mu.Unlock()
		if conn == nil && why != nil {
			return why
		}
	}
	return nil
}
