package checks

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"sessiongate-clients/tap"
)

const patience = 10 * time.Second // bounds failures only

// suite is a run of all checks. Each key is one check's.
type suite struct {
	lib   Library
	c     Client // what most checks use
	other Client // another application
}

// Run runs all checks on a library, reports them and ends the program.
func Run(lib Library) {
	tap.Version(lib.Module)
	s := suite{lib: lib}
	var err error
	if s.c, err = lib.Connect(Options{}); err == nil {
		s.other, err = lib.Connect(Options{Name: "other"})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Bail out!", err)
		tap.Check("connect", func() error { return err })
		tap.Done()
	}
	for _, check := range []struct {
		name string
		run  func() error
	}{
		{"connect", s.connect}, {"set-get", s.setGet}, {"binary", s.binary}, {"expiry", s.expiry}, {"hash", s.hash}, {"counter", s.counter},
		{"multi-key", s.multiKey}, {"list-set", s.listSet}, {"pipeline", s.pipeline}, {"transaction", s.transaction}, {"watch", s.watch},
		{"script", s.script}, {"scan", s.scan}, {"pubsub", s.pubsub}, {"blocking", s.blocking}, {"large", s.large}, {"error", s.serverError},
		{"concurrent", s.concurrent}, {"reconnect", s.reconnect},
	} {
		tap.Check(check.name, check.run)
	}
	if lib.RESP3 {
		tap.Check("resp3", s.resp3)
	} else {
		tap.Skip("resp3", "it speaks RESP2 only")
	}
	if lib.Track != nil {
		tap.Check("client-side caching", lib.Track)
	}
	s.c.Close()
	s.other.Close()
	tap.Done()
}

// want compares what came with what should have, or passes the error on.
func want[T any](got T, err error, wanted T) error {
	if err != nil {
		return err
	}
	if g, w := shown(got), shown(wanted); g != w {
		return fmt.Errorf("got %.200s, want %.200s", g, w)
	}
	return nil
}

func shown(value any) string {
	switch value.(type) {
	case string, []byte, []string, [][]byte:
		return fmt.Sprintf("%q", value)
	}
	return fmt.Sprint(value)
}

// first is the first error of several steps, all of which are carried out.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// ttl expects what was set, less the moments that have passed. Under the rules it is only known to be there.
func (s suite) ttl(key string, seconds int64) error {
	got, err := s.c.TTL(key)
	low, high := seconds-10, seconds
	if tap.Rules {
		low, high = 1, 43200
	}
	if err == nil && (got < low || got > high) {
		err = fmt.Errorf("the TTL of %s is %d, want %d to %d", key, got, low, high)
	}
	return err
}

// listed is the line of CLIENT LIST about the client of that name.
func (s suite) listed(name string) (string, error) {
	list, err := s.other.Do("CLIENT", "LIST")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(list) {
		if strings.Contains(line, " name="+name+" ") {
			return line, nil
		}
	}
	return "", fmt.Errorf("no client %s in %s", name, list)
}

func (s suite) connect() error {
	c, err := s.lib.Connect(Options{DB: 2, Name: "connected"})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Set("in-two", []byte("yes"), 0); err != nil {
		return err
	}
	got, err := c.Get("in-two")
	if err := want(string(got), err, "yes"); err != nil {
		return err
	}
	line, err := s.listed("connected")
	if err == nil && !strings.Contains(line, " db=2 ") {
		err = fmt.Errorf("not in database 2: %s", line)
	}
	there, err2 := s.c.Get("in-two")
	return first(err, want(there, err2, nil))
}

func (s suite) setGet() error {
	if err := s.c.Set("name", []byte("value"), 0); err != nil {
		return err
	}
	got, err := s.c.Get("name")
	missing, err2 := s.c.Get("nothing")
	return first(want(string(got), err, "value"), want(missing == nil, err2, true))
}

func (s suite) binary() error {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	err := first(s.c.Set("bin\x00ary\r\n", all, 0), s.c.Set("empty", []byte{}, 0))
	got, err2 := s.c.Get("bin\x00ary\r\n")
	empty, err3 := s.c.Get("empty")
	return first(err, want(got, err2, all), want(string(empty), err3, ""), want(empty != nil, nil, true))
}

func (s suite) expiry() error {
	if err := first(s.c.Set("e", []byte("v"), 100*time.Second), s.ttl("e", 100)); err != nil {
		return err
	}
	done, err := s.c.Expire("e", 200*time.Second)
	if err := first(want(done, err, true), s.ttl("e", 200)); err != nil {
		return err
	}
	got, err := s.c.GetEx("e", 300*time.Second)
	if err := first(want(string(got), err, "v"), s.ttl("e", 300), s.c.Persist("e")); err != nil {
		return err
	}
	if tap.Rules {
		return s.ttl("e", 0)
	}
	ttl, err := s.c.TTL("e")
	if err := want(ttl, err, -1); err != nil {
		return err
	}
	none, err := s.c.TTL("nothing")
	return want(none, err, -2)
}

func (s suite) hash() error {
	fields := map[string]string{"user": "7", "name": "Ann"}
	if err := s.c.HSet("h", fields); err != nil {
		return err
	}
	got, err := s.c.HGetAll("h")
	if err == nil && !maps.Equal(got, fields) {
		err = fmt.Errorf("got %v, want %v", got, fields)
	}
	n, err2 := s.c.HDel("h", "user")
	none, err3 := s.c.HGetAll("nothing")
	return first(err, want(n, err2, 1), want(len(none), err3, 0))
}

func (s suite) counter() error {
	n, err := s.c.Incr("n")
	m, err2 := s.c.IncrBy("n", 41)
	k, err3 := s.c.IncrBy("n", -50)
	return first(want(n, err, 1), want(m, err2, 42), want(k, err3, -8))
}

func (s suite) multiKey() error {
	if err := s.c.MSet(map[string]string{"m1": "a", "m2": "b", "m3": "c"}); err != nil {
		return err
	}
	got, err := s.c.MGet("m1", "nothing", "m3")
	n, err2 := s.c.Del("m1", "m2", "nothing")
	return first(want(got, err, [][]byte{[]byte("a"), nil, []byte("c")}), want(got != nil && got[1] == nil, nil, true), want(n, err2, 2))
}

func (s suite) listSet() error {
	n, err := s.c.RPush("l", "a", "b", "c")
	list, err2 := s.c.LRange("l")
	m, err3 := s.c.SAdd("s", "x", "y", "x")
	members, err4 := s.c.SMembers("s")
	slices.Sort(members)
	return first(want(n, err, 3), want(list, err2, []string{"a", "b", "c"}), want(m, err3, 2), want(members, err4, []string{"x", "y"}))
}

func (s suite) pipeline() error {
	const n = 1000
	replies, err := s.c.Pipeline("piped", n)
	if err != nil {
		return err
	}
	for i, reply := range replies {
		if reply != int64(i+1) {
			return fmt.Errorf("reply %d is %d", i+1, reply)
		}
	}
	return want(len(replies), nil, n)
}

func (s suite) transaction() error {
	if _, err := s.c.IncrBy("t2", 10); err != nil {
		return err
	}
	replies, err := s.c.Transaction("t1", "t2")
	return want(replies, err, []int64{1, 11})
}

func (s suite) watch() error {
	if err := s.c.Set("w", []byte("a"), 0); err != nil {
		return err
	}
	done, err := s.c.Watch("w", func() error { return nil })
	if err := want(done, err, true); err != nil {
		return err
	}
	done, err = s.c.Watch("w", func() error { return s.other.Set("w", []byte("other"), 0) })
	if err := want(done, err, false); err != nil {
		return fmt.Errorf("a conflict: %w", err)
	}
	got, err := s.c.Get("w")
	return want(string(got), err, "other")
}

func (s suite) script() error {
	const lua = `return ARGV[1] .. redis.call("INCR", KEYS[1])`
	for _, expected := range []string{"n1", "n2"} {
		got, err := s.c.Script(lua, "script", "n")
		if err := want(got, err, expected); err != nil {
			return err
		}
	}
	if tap.Rules { // in a namespace nobody may make the whole server forget
		return nil
	}
	if _, err := s.other.Do("SCRIPT", "FLUSH"); err != nil {
		return err
	}
	got, err := s.c.Script(lua, "script", "n")
	return want(got, err, "n3")
}

func (s suite) scan() error {
	var keys []string
	for i := range 50 {
		key := fmt.Sprintf("scan:%d", i)
		if err := s.c.Set(key, []byte("x"), 0); err != nil {
			return err
		}
		keys = append(keys, key)
	}
	got, err := s.c.Scan("scan:*")
	slices.Sort(keys)
	slices.Sort(got)
	one, err2 := s.c.Scan("scan:7")
	return first(want(slices.Compact(got), err, keys), want(one, err2, []string{"scan:7"}))
}

func (s suite) pubsub() error {
	messages, stop, err := s.c.Subscribe("news")
	if err != nil {
		return err
	}
	defer stop()
	for _, message := range []string{"one", "two", "three\r\n\x00"} {
		n, err := s.other.Publish("news", message)
		if err := want(n, err, 1); err != nil {
			return err
		}
	}
	for _, message := range []string{"one", "two", "three\r\n\x00"} {
		select {
		case got := <-messages:
			if err := want(got, nil, message); err != nil {
				return err
			}
		case <-time.After(patience):
			return fmt.Errorf("no message %q", message)
		}
	}
	n, err := s.other.Publish("elsewhere", "x")
	return want(n, err, 0)
}

func (s suite) blocking() error {
	popped := make(chan error, 1)
	go func() {
		got, err := s.c.BLPop("queue")
		popped <- want(string(got), err, "job")
	}()
	if err := s.eventuallyListed("cmd=blpop"); err != nil {
		return err
	}
	n, err := s.other.RPush("queue", "job")
	if err := first(want(n, err, 1), <-popped); err != nil {
		return err
	}
	got, err := s.c.BLPop("queue")
	return want(got == nil, err, true)
}

// eventuallyListed waits until CLIENT LIST has the text.
func (s suite) eventuallyListed(text string) error {
	for deadline := time.Now().Add(patience); ; {
		list, err := s.other.Do("CLIENT", "LIST")
		if err != nil || strings.Contains(list, text) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no %s in %s", text, list)
		}
	}
}

func (s suite) large() error {
	value := make([]byte, 1<<20)
	rand.Read(value)
	err := s.c.Set("large", value, 0)
	got, err2 := s.c.Get("large")
	if err := first(err, err2); err != nil {
		return err
	}
	if !bytes.Equal(got, value) {
		return errors.New("other bytes came back")
	}
	return nil
}

func (s suite) serverError() error {
	if err := s.c.Set("string", []byte("x"), 0); err != nil {
		return err
	}
	_, err := s.c.RPush("string", "a")
	text, ok := s.c.ServerError(err)
	if !ok {
		return fmt.Errorf("%v (%T) is not the library's error for a reply", err, err)
	}
	if err := want(text, nil, "WRONGTYPE Operation against a key holding the wrong kind of value"); err != nil {
		return err
	}
	_, err = s.c.Do("NONSENSE", "a", "b")
	text, ok = s.c.ServerError(err)
	if !ok || !strings.HasPrefix(strings.TrimPrefix(text, "ERR "), "unknown command 'NONSENSE', with args beginning with: 'a' 'b'") {
		return fmt.Errorf("an unknown command is answered by %v", err)
	}
	return nil
}

func (s suite) resp3() error {
	c, err := s.lib.Connect(Options{Name: "three"})
	if err != nil {
		return err
	}
	defer c.Close()
	two, err := s.lib.Connect(Options{Name: "two", RESP2: true})
	if err != nil {
		return err
	}
	defer two.Close()
	for _, asked := range []struct {
		c          Client
		name, resp string
	}{{c, "three", "3"}, {two, "two", "2"}} {
		if err := asked.c.HSet("r", map[string]string{"a": asked.resp}); err != nil {
			return err
		}
		line, err := s.listed(asked.name)
		if err == nil && !strings.Contains(line, " resp="+asked.resp) {
			err = fmt.Errorf("it doesn't speak RESP%s: %s", asked.resp, line)
		}
		got, err2 := asked.c.HGetAll("r")
		if err := first(err, err2, want(got["a"], nil, asked.resp)); err != nil {
			return err
		}
	}
	return nil
}

func (s suite) concurrent() error {
	const clients, rounds = 50, 20
	errs := make([]error, clients)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			key := fmt.Sprintf("mine:%d", i)
			for n := range rounds {
				value := fmt.Sprintf("%d of %d", n, i)
				err := s.c.Set(key, []byte(value), 0)
				got, err2 := s.c.Get(key)
				_, err3 := s.c.Incr("everybody's")
				if errs[i] = first(err, want(string(got), err2, value), err3); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	n, err := s.c.IncrBy("everybody's", 0)
	return first(first(errs...), want(n, err, clients*rounds))
}

var listedID = regexp.MustCompile(`^id=(\d+) `)

func (s suite) reconnect() error {
	c, err := s.lib.Connect(Options{Name: "victim"})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Set("r1", []byte("before"), 0); err != nil {
		return err
	}
	line, err := s.listed("victim")
	if err != nil {
		return err
	}
	id := listedID.FindStringSubmatch(line)[1]
	if _, err := s.other.Do("CLIENT", "KILL", "ID", id); err != nil {
		return err
	}
	var got []byte
	for range s.lib.MayLose + 1 {
		if got, err = c.Get("r1"); err == nil {
			break
		}
	}
	return want(string(got), err, "before")
}
