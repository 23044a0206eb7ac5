package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sessiongate/bench/loadgen"
)

// closedFor is how long a run of our own generator takes in a closed loop.
const closedFor = 1500 * time.Millisecond

// tenantsOf says how many tenants a target has that has several, or one that logs in.
var tenantsOf = map[string]int{tenants1: 1, tenants10: 10, tenants1000: 1000}

// fillTenants makes the workload's keys, an equal share for each tenant.
func fillTenants(ctx context.Context, t target, w workload, keys int) error {
	for i := range t.tenants {
		t.auth = login(i)
		if err := fill(ctx, t, w, t.share(keys)); err != nil {
			return err
		}
	}
	return nil
}

// share is how many of so many keys each tenant has.
func (t target) share(keys int) int { return max(1, keys/max(1, t.tenants)) }

func login(i int) []string { return []string{"AUTH", tenant(i), "secret-of-" + tenant(i)} }

// options have clients of a target send a workload's command, with one key after the other.
func (t target) options(w workload, keys int) loadgen.Options {
	const stride = 7919 // a prime, so that neighbours in time are none among keys
	keys = t.share(keys)
	before, after := split(w.args)
	o := loadgen.Options{Addr: t.addr, Clients: w.load.clients, Spin: apart(), Command: func(dst []byte, number int) []byte {
		dst = append(dst, before...)
		dst = appendDigits(dst, number*stride%keys)
		return append(dst, after...)
	}}
	if t.tenants > 0 {
		o.Hello = func(client int) []byte { return appendCommand(nil, login(client%t.tenants), 0) }
	}
	return o
}

// closedLoop makes one run with our own generator, and reads the servers' CPU clocks before and after, when all clients are connected.
func (r runner) closedLoop(ctx context.Context, t target, w workload) (sample, error) {
	g, err := loadgen.Dial(ctx, t.options(w, r.keysOf(w)))
	if err != nil {
		return sample{}, err
	}
	defer g.Close()
	before, err := t.cpu()
	if err != nil {
		return sample{}, err
	}
	result, err := generate(ctx, g, loadgen.Plan{For: r.closed})
	if err != nil {
		return sample{}, err
	}
	after, err := t.cpu()
	if err != nil {
		return sample{}, err
	}
	if result.Errors > 0 {
		return sample{}, fmt.Errorf("%d replies were errors", result.Errors)
	}
	n := int(result.Latency.TotalCount())
	return sample{RPS: perSecond(result), P50: milliseconds(result.Latency, 50), P99: milliseconds(result.Latency, 99),
		ProxyCPU: perCommand(after.proxy-before.proxy, n), RedisCPU: perCommand(after.redis-before.redis, n)}, nil
}

// split is a command as it is sent, before the number of its key and behind that.
func split(args []string) (before, after []byte) {
	digits := fmt.Sprintf("%012d", 0)
	whole := string(appendCommand(nil, args, 0))
	i := strings.Index(whole, digits)
	return slices.Clone([]byte(whole[:i])), []byte(whole[i+len(digits):])
}

// appendDigits appends a key's number as redis-benchmark writes it, twelve digits, without allocation.
func appendDigits(dst []byte, number int) []byte {
	const digits = 12
	n := len(dst)
	dst = append(dst, "000000000000"...)
	for i := n + digits - 1; i >= n; i-- {
		dst[i] = byte('0' + number%10)
		number /= 10
	}
	return dst
}
