package proxy

import (
	"cmp"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"sessiongate/command"
)

// Span is a command that is traced, and what became of it. It holds no value, and of keys no more than logs do.
type Span struct {
	Command  string // as the table calls it, or UnknownCommand
	Tenant   string
	Rule     string // whose its first key is; empty: no rule's
	Verdict  Verdict
	Refusal  string // the kind of the rule that has refused it, or its reply; empty: none has
	Error    string // the code of the error that the client got, OtherError if that is none of Redis's or ours; empty: it got none
	Key      string // the first that it names, in the form of KeyForm; empty: it names none
	DB       int
	Commands int    // that came with it and were sent together, itself included
	Client   string // address
	Upstream string // address

	Began, Ended   time.Time // its arrival, and its reply being written, as of all that came with it
	Sent, Answered time.Time // by the upstream; both zero: it was not asked, or the command waits for others
}

// OtherError stands for error codes that scripts and modules make up, which might say anything.
const OtherError = "_OTHER"

// errorCodes are those that are known to hold nothing of a client's.
var errorCodes = func() map[string]bool {
	all := map[string]bool{}
	for code := range strings.FieldsSeq("ERR WRONGTYPE DENIED NOPERM NOAUTH WRONGPASS NOPROTO NOSCRIPT NOTBUSY BUSY BUSYKEY BUSYGROUP NOGROUP " +
		"UNKILLABLE EXECABORT CROSSSLOT CLUSTERDOWN MASTERDOWN TRYAGAIN MOVED ASK LOADING READONLY OOM MISCONF NOREPLICAS INPROG UNBLOCKED NOMASTERLINK") {
		all[code] = true
	}
	return all
}()

// traced is a Span in the making. Its times are since the server's start: the system's clock may be set while the command is under way.
type traced struct {
	Span
	began, sent, took time.Duration
	ends              bool // all but the write is known
}

// untilNext draws how many commands go by until one is traced, so that each is traced with the probability that is configured, and those
// that are not cost no more than counting down.
func (s *Server) untilNext() int64 {
	if s.cfg.Trace == nil || s.cfg.TraceRatio <= 0 {
		return math.MaxInt64
	}
	return int64(min(math.Log(1-rand.Float64())/math.Log1p(-s.cfg.TraceRatio), math.MaxInt64/2))
}

// trace begins the Span of the command that is being counted, whose turn it is.
func (s *Session) trace(spec *command.Spec, v Verdict, rule uint16) *traced {
	if s.until = s.srv.untilNext(); s.srv.cfg.Trace == nil {
		return nil
	}
	t := &traced{Span: Span{Command: UnknownCommand, Tenant: s.tenantName(), Verdict: v, DB: s.db, Commands: 1, Client: s.peer(), Upstream: s.pool().Addr()}}
	if spec != nil {
		t.Command = spec.Name
	}
	if i := int(rule) - 1; i >= 0 && s.tenant != nil {
		if names := s.tenant.ruleNames(); i < len(names) {
			t.Rule = names[i]
		}
	}
	if s.acct.aside {
		s.acct.traced = append(s.acct.traced, t)
	} else {
		s.flight.traced = append(s.flight.traced, t)
	}
	return t
}

// traceLanded completes the Spans of the batch at hand.
func (s *Session) traceLanded() {
	upstream := s.srv.elapsed() - s.flight.departed
	for i, t := range s.flight.traced {
		t.Commands, t.began, t.ends = len(s.slots), s.flight.began, true
		if s.batch.Count > 0 && (t.Verdict == Passed || t.Verdict == Rewritten) {
			t.sent, t.took = s.flight.departed, upstream
		}
		s.acct.traced = append(s.acct.traced, t)
		s.flight.traced[i] = nil
	}
	s.flight.traced = s.flight.traced[:0]
}

// traceAside completes the Spans of a command that has left the line. What it asked the upstream in several steps counts as one.
func (s *Session) traceAside(began time.Duration) {
	for _, t := range s.acct.traced {
		if !t.ends {
			t.began, t.sent, t.took, t.ends = began, s.acct.asked, s.acct.waited, true
			t.Error = cmp.Or(t.Error, s.acct.failure)
		}
	}
}

// reply takes down what the client got to see: an error, and which rule it is from.
func (t *traced) reply(reply []byte, sl *slot) {
	if isError(reply) {
		t.Error = errorCode(reply)
	}
	if sl.refusal != nil {
		t.Refusal = sl.refusal.Kind
		if sl.refusal.Rule != "" {
			t.Rule = sl.refusal.Rule
		}
	}
}

// errorCode is the code of an error reply, as far as it is known.
func errorCode(raw []byte) string {
	text := errorText(raw)
	code := strings.TrimSuffix(string(text[:codeLen(text)]), " ")
	if code == "" && errorCodes[string(text)] {
		code = string(text)
	}
	if errorCodes[code] {
		return code
	}
	return OtherError
}

// handOver hands the Spans of commands whose replies have been written to who wants them.
func (s *Session) handOver(now time.Duration) {
	wall := time.Now()
	at := func(d time.Duration) time.Time { return wall.Add(d - now) }
	for i, t := range s.acct.traced {
		t.Began, t.Ended = at(t.began), wall
		if t.took > 0 {
			t.Sent, t.Answered = at(t.sent), at(t.sent+t.took)
		}
		s.srv.cfg.Trace(t.Span)
		s.acct.traced[i] = nil
	}
	s.acct.traced = s.acct.traced[:0]
}
