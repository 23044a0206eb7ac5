package upstream_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sessiongate/upstream"
)

// fakeCluster is fakes that say that they are a cluster.
type fakeCluster struct {
	nodes []*fake
	told  atomic.Pointer[string] // how the cluster is made up
	state atomic.Pointer[string] // ok or fail
	epoch atomic.Int64

	deaf atomic.Bool // nothing is noted
	mu   sync.Mutex
	got  []string // "node: command", of all but handshakes and such
}

// newFakeCluster starts n nodes, which share the slots. What they say to a command is up to answer.
func newFakeCluster(t testing.TB, n int, answer func(node int, c *fakeConn, args [][]byte)) *fakeCluster {
	return newSecureFakeCluster(t, n, nil, answer)
}

// newSecureFakeCluster is newFakeCluster with TLS, unless conf is nil.
func newSecureFakeCluster(t testing.TB, n int, conf *tls.Config, answer func(node int, c *fakeConn, args [][]byte)) *fakeCluster {
	f := &fakeCluster{}
	f.told.Store(new(string))
	ok := "ok"
	f.state.Store(&ok)
	for i := range n {
		f.nodes = append(f.nodes, (&fake{
			tls: conf,
			answer: func(c *fakeConn, args [][]byte) {
				f.note(i, args)
				answer(i, c, args)
			},
			greet: func(c *fakeConn, args [][]byte) string {
				if strings.EqualFold(string(args[0]), "cluster") {
					return f.tell(args, *f.told.Load(), f.epoch.Load())
				}
				return manners(c, args)
			},
		}).start(t))
	}
	f.show(f.nodes...)
	return f
}

// tell is the reply to a CLUSTER command of a node that says told and knows of the epoch.
func (f *fakeCluster) tell(args [][]byte, told string, epoch int64) string {
	if strings.EqualFold(string(args[1]), "info") {
		return bulk(fmt.Sprintf("cluster_state:%s\r\ncluster_current_epoch:%d\r\n", *f.state.Load(), epoch))
	}
	return told
}

// show has all nodes say that the cluster is these, which share the slots evenly.
func (f *fakeCluster) show(nodes ...*fake) {
	told := fmt.Sprintf("*%d\r\n", len(nodes))
	for i, node := range nodes {
		plain, secure := port(node), "0"
		if node.tls != nil {
			plain, secure = "1", plain
		}
		told += fmt.Sprintf("*4\r\n$5\r\nslots\r\n*2\r\n:%d\r\n:%d\r\n$5\r\nnodes\r\n*1\r\n", i*upstream.Slots/len(nodes), (i+1)*upstream.Slots/len(nodes)-1) +
			"*10\r\n$8\r\nendpoint\r\n$0\r\n\r\n$4\r\nport\r\n:" + plain + "\r\n$8\r\ntls-port\r\n:" + secure +
			"\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$6\r\nhealth\r\n$6\r\nonline\r\n"
	}
	f.told.Store(&told)
}

func (f *fakeCluster) note(node int, args [][]byte) {
	if f.deaf.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, fmt.Sprintf("%d: %s", node, bytes.Join(args, []byte(" "))))
}

func (f *fakeCluster) url() string { return "redis-cluster://" + f.nodes[0].addr() }

// commands are those that have come since the last time.
func (f *fakeCluster) commands() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := strings.Join(f.got, ", ")
	f.got = nil
	return got
}

// fail has all nodes say that the last of nodes, which share the slots, has failed, and that heir has its slots and it as a replica.
func (f *fakeCluster) fail(heir *fake, nodes ...*fake) {
	last := len(nodes) - 1
	dead := nodes[last]
	f.show(append(nodes[:last:last], heir)...)
	told := *f.told.Load()
	const one = "$5\r\nnodes\r\n*1\r\n"
	at := strings.LastIndex(told, one)
	told = told[:at] + "$5\r\nnodes\r\n*2\r\n" + told[at+len(one):] + "*10\r\n$8\r\nendpoint\r\n$0\r\n\r\n$4\r\nport\r\n:" + port(dead) +
		"\r\n$8\r\ntls-port\r\n:0\r\n$4\r\nrole\r\n$7\r\nreplica\r\n$6\r\nhealth\r\n$4\r\nfail\r\n"
	f.told.Store(&told)
}

// slot appends a unit of commands, which brings a reply for each.
func slot(b *upstream.Batch, slot int, commands ...string) {
	for _, c := range commands {
		b.Req = append(b.Req, cmd(strings.Fields(c)...)...)
	}
	b.Count += len(commands)
	b.Units = append(b.Units, upstream.Unit{Slot: slot, End: len(b.Req), Count: len(commands)})
}

// TestRouted has nodes that say where else slots are. A command is what its node has to answer: OK, or an error, in which A and B
// are the nodes and X is one of another cluster.
func TestRouted(t *testing.T) {
	var f *fakeCluster
	stranger := newFake(t, func(c *fakeConn, args [][]byte) { t.Error("a stranger was asked") })
	f = newFakeCluster(t, 2, func(node int, c *fakeConn, args [][]byte) {
		said := string(args[0])
		if len(args) > node {
			said = string(args[node]) // one word for each node
		}
		switch said {
		case "MULTI", "ASKING", "DISCARD":
			said = "+OK"
		case "QUEUED":
			said = "+QUEUED"
		case "EXEC":
			said = "*0"
		case "ABORT":
			said = "-EXECABORT Transaction discarded because of previous errors."
		case "OK":
			said = bulk(fmt.Sprint("by ", node))
			c.out = append(c.out, said...)
			return
		default:
			r := strings.NewReplacer("_", " ", "@A", f.nodes[0].addr(), "@B", f.nodes[1].addr(), "@X", stranger.addr())
			said = "-" + r.Replace(said)
		}
		c.out = append(c.out, said+"\r\n"...)
	})
	p := open(t, upstream.Config{URL: f.url(), Hold: 300 * time.Millisecond})
	l := p.Link(2, 0)
	a, b := "$4\r\nby 0\r\n", "$4\r\nby 1\r\n"
	long := strings.Repeat(", 0: MOVED_1_@B MOVED_1_@A, 1: MOVED_1_@B MOVED_1_@A", 4)[2:]
	for _, test := range []struct {
		name  string
		units [][]string // each has slot 1 if it is one of an even number, and 16383 otherwise
		sent  string     // "": whatever
		want  []string
	}{
		{"straight", [][]string{{"OK OK"}, {"OK OK"}}, "", []string{a, b}},
		{"moved", [][]string{{"MOVED_1_@B OK"}}, "0: MOVED_1_@B OK, 1: MOVED_1_@B OK", []string{b}},
		{"and back", [][]string{{"OK MOVED_1_@A"}}, "1: OK MOVED_1_@A, 0: OK MOVED_1_@A", []string{a}},
		{"asked", [][]string{{"ASK_1_@B OK"}}, "0: ASK_1_@B OK, 1: ASKING, 1: ASK_1_@B OK", []string{b}},
		{"nobody's host", [][]string{{"ASK_1_:" + port(f.nodes[1]) + " OK"}}, "", []string{b}},
		{"a transaction", [][]string{{"MULTI", "ASK_1_@B QUEUED", "ABORT EXEC"}},
			"0: MULTI, 0: ASK_1_@B QUEUED, 0: ABORT EXEC, 1: ASKING, 1: MULTI, 1: ASK_1_@B QUEUED, 1: ABORT EXEC", []string{"+OK\r\n", "+QUEUED\r\n", "*0\r\n"}},
		{"a transaction that is dropped", [][]string{{"MULTI", "ASK_1_@B QUEUED", "DISCARD"}}, "0: MULTI, 0: ASK_1_@B QUEUED, 0: DISCARD",
			[]string{"+OK\r\n", "-ASK 1 " + f.nodes[1].addr() + "\r\n", "+OK\r\n"}},
		{"in part", [][]string{{"OK OK", "ASK_1_@B OK", "ASK_1_@B OK"}}, "0: OK OK, 0: ASK_1_@B OK, 0: ASK_1_@B OK, 1: ASKING, 1: ASK_1_@B OK, 1: ASK_1_@B OK", []string{a, b, b}},
		{"in order", [][]string{{"ASK_1_@B OK"}, {"OK OK"}, {"ASK_1_@B OK OK"}}, "", []string{b, b, b}},
		{"another slot's", [][]string{{"MOVED_2_@B OK"}}, "0: MOVED_2_@B OK", []string{"-MOVED 2 " + f.nodes[1].addr() + "\r\n"}},
		{"a stranger", [][]string{{"MOVED_1_@X OK"}}, "0: MOVED_1_@X OK", []string{"-MOVED 1 " + stranger.addr() + "\r\n"}},
		{"in a circle", [][]string{{"MOVED_1_@B MOVED_1_@A"}}, long + ", 0: MOVED_1_@B MOVED_1_@A", []string{"-MOVED 1 " + f.nodes[1].addr() + "\r\n"}},
		{"for ever", [][]string{{"CLUSTERDOWN_Hash_slot_not_served OK"}, {"OK OK"}}, "", []string{"-CLUSTERDOWN Hash slot not served\r\n", b}},
		{"other words", [][]string{{"TRYAGAIN_x OK"}, {"CLUSTERDOWN_x OK"}}, "", []string{"-TRYAGAIN x\r\n", b}},
		{"an error", [][]string{{"ERR_x OK"}, {"ERR_MOVED_1_@B OK"}}, "", []string{"-ERR x\r\n", b}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.commands()
			var batch upstream.Batch
			for i, commands := range test.units {
				slot(&batch, 1+i%2*(upstream.Slots-2), commands...)
			}
			if err := l.Do(t.Context(), &batch); err != nil {
				t.Fatal(err)
			}
			for i, got := range texts(&batch) {
				if got != test.want[i] {
					t.Errorf("reply %d: got %q (%v), want %q", i, got, batch.Replies[i].Err, test.want[i])
				}
			}
			if got := f.commands(); test.sent != "" && got != test.sent {
				t.Errorf("sent %s\nwant %s", got, test.sent)
			}
		})
	}
}

// TestRouted_unreadyReplica has a replica that can't read yet: the master is asked instead, once for each health check.
func TestRouted_unreadyReplica(t *testing.T) {
	for _, says := range []string{"-LOADING Redis is loading the dataset in memory", "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."} {
		f := newFakeCluster(t, 2, func(node int, c *fakeConn, args [][]byte) {
			switch {
			case string(args[0]) == "READONLY":
				c.out = append(c.out, "+OK\r\n"...)
			case node == 1:
				c.out = append(c.out, says+"\r\n"...)
			default:
				c.out = append(c.out, fmt.Sprintf("+%s\r\n", args[1])...)
			}
		})
		f.fail(f.nodes[0], f.nodes[1]) // so that it is a replica
		p := open(t, upstream.Config{URL: f.url(), HealthInterval: time.Hour})
		until(t, "replica and master are up", func() bool {
			nodes := p.Nodes()
			return len(nodes) == 2 && nodes[0].Up && nodes[1].Up && nodes[1].Role == "replica"
		})
		f.commands()
		l := p.Link(2, 0)
		for range 2 {
			var b upstream.Batch
			slot(&b, 1, "GET a")
			slot(&b, 2, "GET b")
			b.Units[0].Replica, b.Units[1].Replica = true, true
			if err := l.Do(t.Context(), &b); err != nil || strings.Join(texts(&b), "") != "+a\r\n+b\r\n" {
				t.Errorf("got %v, %q", err, texts(&b))
			}
		}
		if got := f.commands(); got != "1: READONLY, 1: GET a, 1: GET b, 0: GET a, 0: GET b, 0: GET a, 0: GET b" {
			t.Errorf("sent %s", got)
		}
	}
}

func port(f *fake) string { _, p, _ := net.SplitHostPort(f.addr()); return p }

// TestRouted_patience has a node put a command off for a while.
func TestRouted_patience(t *testing.T) {
	n := 0
	f := newFakeCluster(t, 1, func(_ int, c *fakeConn, args [][]byte) {
		if n++; n < 4 {
			c.out = append(c.out, "-CLUSTERDOWN The cluster is down\r\n"...)
			return
		}
		c.out = append(c.out, "+OK\r\n"...)
	})
	var b upstream.Batch
	slot(&b, 7, "X")
	if err := open(t, upstream.Config{URL: f.url()}).Link(2, 0).Do(t.Context(), &b); err != nil || texts(&b)[0] != "+OK\r\n" || n != 4 {
		t.Errorf("got %v, %q, asked %d times", err, texts(&b), n)
	}
}

// TestRouted_lost has a node hang up on what it was sent: only that fails, and it is not sent again.
func TestRouted_lost(t *testing.T) {
	f := newFakeCluster(t, 2, func(node int, c *fakeConn, args [][]byte) {
		if string(args[0]) == "CUT" {
			c.Close()
			return
		}
		c.out = append(c.out, "+OK\r\n"...)
	})
	l := open(t, upstream.Config{URL: f.url()}).Link(2, 0)
	var b upstream.Batch
	slot(&b, 1, "A")
	slot(&b, upstream.Slots-1, "B", "CUT")
	slot(&b, 2, "C")
	if err := l.Do(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for i, lost := range []bool{false, true, true, false} {
		r := b.Replies[i]
		if (r.Err != nil) != lost || upstream.SafeToRetry(r.Err) || !lost && string(r.Raw) != "+OK\r\n" || lost && r.Raw != nil {
			t.Errorf("reply %d: got %q, %v", i, r.Raw, r.Err)
		}
	}
	if got := strings.Count(f.commands(), "CUT"); got != 1 {
		t.Errorf("it was sent %d times", got)
	}
	reset(&b)
	slot(&b, upstream.Slots-1, "CUT")
	if err := l.Do(t.Context(), &b); err == nil || upstream.SafeToRetry(err) || b.Replies != nil {
		t.Errorf("got %v, %d replies", err, len(b.Replies))
	}
}

// TestRouted_undiscovered has nobody there who knows the nodes.
func TestRouted_undiscovered(t *testing.T) {
	plain := newFake(t, func(c *fakeConn, args [][]byte) {
		c.out = append(c.out, "-ERR This instance has cluster support disabled\r\n"...)
	})
	p := open(t, upstream.Config{URL: "redis-cluster://" + plain.addr(), Hold: 50 * time.Millisecond, ConnectTimeout: 200 * time.Millisecond})
	var b upstream.Batch
	slot(&b, 1, "A")
	err := p.Link(2, 0).Do(t.Context(), &b)
	if err == nil || !upstream.SafeToRetry(err) || !strings.Contains(err.Error(), "cluster support disabled") {
		t.Errorf("got %v", err)
	}
	if up, why := p.Health(); up || !strings.Contains(why.Error(), "cluster support disabled") {
		t.Errorf("got %v, %v", up, why)
	}
	if _, err := p.Dedicated(t.Context(), 2, 0); err == nil {
		t.Error("there is a connection")
	}
	if got := p.Masters(); len(got) != 1 || got[0] != p || p.NodeOf(1) != p || p.Alive() {
		t.Errorf("masters: %v", got)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	var e *upstream.Error
	if err := p.Link(2, 0).Do(t.Context(), &b); !errors.As(err, &e) {
		t.Errorf("got %v", err)
	}
}

// TestRouted_allocations has a routed link cost no memory for each batch.
func TestRouted_allocations(t *testing.T) {
	f := newFakeCluster(t, 2, func(_ int, c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) })
	l := open(t, upstream.Config{URL: f.url(), HealthInterval: time.Hour}).Link(2, 0)
	f.deaf.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, slots := range [][]int{{1}, {1, 2, 3}, {1, upstream.Slots - 1, 2, upstream.NoSlot}} {
		var b upstream.Batch
		for _, s := range slots {
			slot(&b, s, "GET x")
		}
		got := testing.AllocsPerRun(1000, func() {
			if err := l.Do(ctx, &b); err != nil {
				t.Fatal(err)
			}
		})
		if got > 0 {
			t.Errorf("%d units: got %v allocations per Do, want none", len(slots), got)
		}
	}
}

// TestRouted_newNode has a slot move to a node that has only just come, and then all slots to that.
func TestRouted_newNode(t *testing.T) {
	var f *fakeCluster
	f = newFakeCluster(t, 2, func(node int, c *fakeConn, args [][]byte) {
		if node == 0 && string(args[0]) == "GO" {
			f.show(f.nodes...)
			c.out = append(c.out, "-MOVED 1 "+f.nodes[1].addr()+"\r\n"...)
			return
		}
		c.out = append(c.out, fmt.Sprintf(":%d\r\n", node)...)
	})
	f.show(f.nodes[0])
	p := open(t, upstream.Config{URL: f.url()})
	l := p.Link(2, 0)
	var b upstream.Batch
	slot(&b, 1, "GO")
	if err := l.Do(t.Context(), &b); err != nil || texts(&b)[0] != ":1\r\n" {
		t.Fatal(err, texts(&b))
	}
	before := p.Stats()
	f.show(f.nodes[1])
	until(t, "the node that has left is closed", func() bool {
		p.Redirect([]byte("-MOVED 1 127.0.0.1:1\r\n")) // has the nodes asked
		return len(p.Nodes()) == 1 && p.Stats().Connections == 1
	})
	if after := p.Stats(); after.BytesOut < before.BytesOut || after.BytesIn < before.BytesIn {
		t.Errorf("counted %+v, and %+v before", after, before)
	}
	reset(&b)
	slot(&b, 1, "GO")
	if err := l.Do(t.Context(), &b); err != nil || texts(&b)[0] != ":1\r\n" {
		t.Error(err, texts(&b))
	}
}

// TestPool_Redirect reads what nodes say on dedicated connections.
func TestPool_Redirect(t *testing.T) {
	f := newFakeCluster(t, 2, func(_ int, c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) })
	p := open(t, upstream.Config{URL: f.url()})
	first, last := p.NodeOf(0), p.NodeOf(upstream.Slots-1)
	for _, test := range []struct {
		at    *upstream.Pool
		reply string
		to    *upstream.Pool
		ask   bool
	}{
		{first, "-ASK 0 " + last.Addr(), last, true},
		{p, "-ASK 0 :" + port(f.nodes[1]), last, true},
		{first, "+OK", nil, false},
		{first, "-MOVED 0 127.0.0.1:1", nil, false},
		{first, "-TRYAGAIN x", nil, false},
		{first, "-MOVED 0 " + last.Addr(), last, false},
	} {
		to, ask, ok := test.at.Redirect([]byte(test.reply + "\r\n"))
		if to != test.to || ask != test.ask || ok != (to != nil) {
			t.Errorf("%s: got %v, %v, %v", test.reply, to, ask, ok)
		}
	}
	if p.NodeOf(0) != last || p.NodeOf(1) != first {
		t.Error("what has moved is not noted, or more than that")
	}
	conn := dedicated(t, p, 2, 0)
	if n := conn.Pool(); n != first && n != last {
		t.Errorf("a connection to %v", n)
	}
}

// TestRouted_tls has nodes that are found by their ports for TLS, and have a certificate for their host.
func TestRouted_tls(t *testing.T) {
	dir := t.TempDir()
	pair := certificate(t, dir)
	f := newSecureFakeCluster(t, 2, &tls.Config{Certificates: []tls.Certificate{pair}}, func(node int, c *fakeConn, args [][]byte) {
		c.out = append(c.out, fmt.Sprintf(":%d\r\n", node)...)
	})
	p := open(t, upstream.Config{URL: strings.Replace(f.url(), "redis", "rediss", 1), TLS: upstream.TLS{CAFile: filepath.Join(dir, "cert.pem")}})
	var b upstream.Batch
	slot(&b, upstream.Slots-1, "A")
	slot(&b, 0, "B")
	if err := p.Link(2, 0).Do(t.Context(), &b); err != nil || strings.Join(texts(&b), "") != ":1\r\n:0\r\n" {
		t.Error(err, texts(&b))
	}
}
