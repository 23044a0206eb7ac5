package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/zap"
)

const (
	askEvery   = time.Second     // a sentinel, if it says nothing of itself
	askTimeout = 2 * time.Second // for its answer; connecting included
)

// announcements are what a sentinel publishes that is worth asking it for news.
var announcements = []string{
	"+try-failover", "-failover-abort-*", "+promoted-slave", "+switch-master", "+failover-end*", "+config-update-from", "+reset-master",
	"+sentinel", "+slave", "+sdown", "-sdown", "+odown", "-odown", "+reboot", "+slave-reconf-done", "+monitor", "-monitor",
}

// listen keeps a subscription at the sentinel at addr, and asks it what it knows, until ctx ends.
func (s *sentinels) listen(ctx context.Context, addr string, ask <-chan struct{}) {
	said := false
	for attempt := 0; ctx.Err() == nil; attempt++ {
		began := time.Now()
		err := s.attend(ctx, addr, ask)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > askTimeout+askEvery { // it has answered for a while
			attempt, said = 0, false
		}
		err = fmt.Errorf("sentinel %s: %w", addr, reason(err))
		if !said {
			s.pool.log.Warn("sentinel can't be asked", zap.String("sentinel", addr), zap.Error(err))
			said = true
		}
		s.tell(report{from: addr, lost: err})
		pause(ctx, backoff(attempt))
	}
}

// attend is one connection's life.
func (s *sentinels) attend(ctx context.Context, addr string, ask <-chan struct{}) error {
	client := s.client(addr)
	defer client.Close()
	defer context.AfterFunc(ctx, func() { _ = client.Close() })() // it may be waiting for the sentinel
	sub := client.PSubscribe(ctx, announcements...)
	defer sub.Close()
	if _, err := sub.ReceiveTimeout(ctx, askTimeout); err != nil {
		return err
	}
	messages := make(chan *redis.Message)
	failed := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.pool.wg.Go(func() { failed <- s.receive(ctx, sub, messages) })
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		if err := s.inquire(ctx, client, addr); err != nil {
			return err
		}
		select {
		case m := <-messages:
			switch {
			case m.Channel == "+try-failover":
				s.tell(report{from: addr, event: begins, of: subject(m.Payload)})
			case strings.HasPrefix(m.Channel, "-failover-abort-"):
				s.tell(report{from: addr, event: aborted})
			}
		case <-ask:
		case <-tick.C:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// receive passes on what is published about the master until that ends. Closing sub ends it.
func (s *sentinels) receive(ctx context.Context, sub *redis.PubSub, to chan<- *redis.Message) error {
	for {
		got, err := sub.Receive(ctx)
		if err != nil {
			return err
		}
		if m, ok := got.(*redis.Message); ok && concerns(m.Payload, s.name) {
			select {
			case to <- m:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// client is one for a sentinel. As the Pool's others, it never retries.
func (s *sentinels) client(addr string) *redis.SentinelClient {
	id := s.pool.identity.Load()
	return redis.NewSentinelClient(&redis.Options{
		Addr: addr, Username: id.sentinelUser, Password: id.sentinelPassword, TLSConfig: named(id.sentinelTLS, addr),
		Protocol: 2, PoolSize: 2, MaxRetries: -1, DialerRetries: 1, PipelinePoolSize: -1, DisableIdentity: true,
		DialTimeout: min(s.pool.opt.DialTimeout, askTimeout), ReadTimeout: askTimeout, WriteTimeout: askTimeout,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// inquire asks a sentinel what it knows and tells the owner.
func (s *sentinels) inquire(ctx context.Context, client *redis.SentinelClient, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	at, err := client.GetMasterAddrByName(ctx, s.name).Result()
	switch {
	case errors.Is(err, redis.Nil) || err == nil && len(at) != 2:
		return fmt.Errorf("knows no master %q", s.name)
	case err != nil:
		return err
	}
	master, err := client.Master(ctx, s.name).Result()
	if err != nil {
		return err
	}
	replicas, err := client.Replicas(ctx, s.name).Result()
	if err != nil {
		return err
	}
	others, err := client.Sentinels(ctx, s.name).Result()
	if err != nil {
		return err
	}
	w := &word{addr: net.JoinHostPort(at[0], at[1]), replicas: []string{}}
	w.epoch, _ = strconv.ParseInt(master["config-epoch"], 10, 64)
	for _, r := range replicas {
		if replica := address(r); up(r) && replica != w.addr {
			w.replicas = append(w.replicas, replica)
		}
	}
	for _, other := range others {
		w.sentinels = append(w.sentinels, address(other))
	}
	s.tell(report{from: addr, word: w})
	return nil
}

func address(of map[string]string) string { return net.JoinHostPort(of["ip"], of["port"]) }

// up reports whether a sentinel sees a replica connected to it and to its master.
func up(replica map[string]string) bool {
	for _, bad := range []string{"s_down", "o_down", "disconnected"} {
		if strings.Contains(replica["flags"], bad) {
			return false
		}
	}
	return replica["master-link-status"] == "ok"
}

// subject is the address in "master <name> <ip> <port>".
func subject(payload string) string {
	words := strings.Fields(payload)
	if len(words) < 4 {
		return ""
	}
	return net.JoinHostPort(words[2], words[3])
}

// concerns reports whether an announcement is about the master of that name: as "master <name> ...", "<kind> ... @ <name> ...", or
// "<name> ...".
func concerns(payload, name string) bool {
	words := strings.Fields(payload)
	for i, word := range words {
		if word == name && (i == 0 || words[i-1] == "@" || i == 1 && words[0] == "master") {
			return true
		}
	}
	return false
}
