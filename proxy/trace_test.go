package proxy

import (
	"math"
	"testing"
	"time"

	"sessiongate/command"
	"sessiongate/policy"
)

// Each command is traced with the probability that is configured, whatever the others are.
func TestTrace_Ratio(t *testing.T) {
	for _, ratio := range []float64{1, 0.5, 0.01} {
		srv := &Server{cfg: Config{Trace: func(Span) {}, TraceRatio: ratio}}
		const draws = 20_000
		sum := 0.0
		for range draws {
			n := srv.untilNext()
			if n < 0 {
				t.Fatalf("ratio %v: %d commands until the next", ratio, n)
			}
			sum += float64(n)
		}
		want := 1/ratio - 1
		if got := sum / draws; math.Abs(got-want) > 0.05*want { // its standard deviation is 0.7 % of it
			t.Errorf("ratio %v: %v commands in between, want %v", ratio, got, want)
		}
	}
	off := &Server{cfg: Config{Trace: func(Span) {}}}
	if n := off.untilNext(); n != math.MaxInt64 {
		t.Errorf("ratio 0: one is traced after %d", n)
	}
}

// Those that are not traced allocate nothing.
func TestTrace_allocates_nothing(t *testing.T) {
	s, _ := counting(t, true)
	s.srv.cfg.Trace, s.srv.cfg.TraceRatio = func(Span) { t.Error("one is traced") }, 1e-15
	s.until = s.srv.untilNext()
	get := command.ByName("GET")
	s.batchOf(get, 16)
	if n := testing.AllocsPerRun(100, func() { s.batchOf(get, 16) }); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

// An error's first word is told only where it can't be a client's.
func TestErrorCode(t *testing.T) {
	for reply, want := range map[string]string{
		"-ERR no such key\r\n": "ERR", "-WRONGTYPE Operation against\r\n": "WRONGTYPE", "-DENIED size: value\r\n": "DENIED", "!10\r\nOOM memory\r\n": "OOM",
		"-SECRET of somebody\r\n": OtherError, "-secret\r\n": OtherError, "-\r\n": OtherError, "-EXECABORT\r\n": "EXECABORT", "-S3CRET x\r\n": OtherError,
	} {
		if got := errorCode([]byte(reply)); got != want {
			t.Errorf("%q: %q, want %q", reply, got, want)
		}
	}
}

// A reply that a rule withholds is a refusal by that rule.
func TestTraced_Reply(t *testing.T) {
	var span traced
	span.reply([]byte("$1\r\nv\r\n"), &slot{})
	if span.Error != "" || span.Refusal != "" {
		t.Errorf("got %+v of a value", span.Span)
	}
	span.Rule = "first"
	r := policy.Oversize("web", 1, 2)
	span.reply(r.AppendRESP(nil), &slot{refusal: r})
	if span.Error != "DENIED" || span.Refusal != "size" || span.Rule != "web" {
		t.Errorf("got %+v", span.Span)
	}
}

func TestSlowLog_Room(t *testing.T) {
	l := slowLog{rate: 2}
	taken := 0
	for _, at := range []time.Duration{0, 1, 2, 3, time.Second, time.Second + 1, time.Second + 2, 5 * time.Second} {
		if l.room(at) {
			taken++
		}
	}
	if left := l.leftOut.Load(); taken != 5 || left != 3 {
		t.Errorf("%d are taken down and %d left out, want 5 and 3", taken, left)
	}
	for range 1000 {
		if any := (&slowLog{}); !any.room(0) {
			t.Fatal("none fits where any number may")
		}
	}
}
