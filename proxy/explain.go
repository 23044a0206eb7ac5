package proxy

import (
	"slices"
	"strconv"
	"strings"

	"sessiongate/command"
	"sessiongate/policy"
	"sessiongate/resp"
)

// Explanation is what would happen to a command, without any server.
type Explanation struct {
	Command string   `json:"command"`          // as the client sends it
	Rule    string   `json:"rule,omitempty"`   // the rule of its first key
	Verdict string   `json:"verdict"`          // forward, rewrite, refuse or local
	Sent    []string `json:"sent,omitempty"`   // what goes upstream
	Reason  string   `json:"reason,omitempty"` // the refusal's text
	Reply   string   `json:"reply,omitempty"`  // in words, what is done to the reply
	Names   []string `json:"-"`                // of the keys it names, as the client names them

	Enforced *Explanation `json:"if_enforced,omitempty"` // what else would happen if all observed rules were enforced
}

// String is the explanation as a transcript: the command after ">", what is sent after "=", a refusal after "!".
func (e Explanation) String() string {
	text := "> " + e.Command + "\n"
	switch e.Verdict {
	case "refuse":
		text += "! " + e.Reason + "\n"
	case "local":
	default:
		text += "= " + strings.Join(e.Sent, " | ") + "\n"
	}
	text += "# " + e.verdict() + "\n"
	switch would := e.Enforced; {
	case would == nil:
	case would.Verdict == "refuse":
		text += "# observed; if enforced, refused: " + would.Reason + "\n"
	default:
		text += "# observed; if enforced, sent as: " + strings.Join(would.Sent, " | ") + "\n"
	}
	return text
}

// verdict is a sentence on what becomes of command and reply.
func (e Explanation) verdict() string {
	said := map[string]string{"forward": "forwarded as it is", "rewrite": "rewritten", "refuse": "refused: nothing is sent", "local": "answered by the proxy"}[e.Verdict]
	if e.Reply != "" {
		said += "; the reply: " + e.Reply
	}
	return said
}

// Explain decides one command by p, with the code that serves clients, at the given time of the upstream, Unix milliseconds.
// Before what is sent stands "LIMIT n" when a reply may hand out n bytes at most, and "GUARD kind n" when a check on lengths
// runs in the same step as the command, and "CONFINE" when a script runs with its writes checked.
func Explain(p *policy.Policy, args [][]byte, now int64) Explanation {
	e := explain(p, args, now)
	if p.Shadow() != nil {
		would := explain(p.Shadow(), args, now)
		if would.Verdict != e.Verdict || would.Reason != e.Reason || !slices.Equal(would.Sent, e.Sent) {
			e.Enforced = &would
		}
	}
	return e
}

func explain(p *policy.Policy, args [][]byte, now int64) Explanation {
	e := Explanation{Command: quoteArgs(args), Verdict: "forward"}
	s := &Session{flight: &flight{policy: p}, proto: 2}
	c := cmd{spec: command.Lookup(args), args: args}
	composed := c.spec != nil && s.composes(c.spec) != nil // of several commands upstream
	if !p.Transparent() && !composed && !s.known(c) {
		return e.refused(string(s.local))
	}
	if c.spec == nil {
		e.Sent, e.Reply = []string{e.Command}, "passes unchanged"
		return e
	}
	s.req = policy.Request{Spec: c.spec, Args: args, Now: now}
	if c.spec.Names != nil {
		names, ok := c.spec.Names(args, nil)
		if !ok && c.spec.Told() {
			return e.refused(string(appendArity(nil, c.spec.RedisName())))
		}
		if !ok {
			return e.refused("-" + errSyntax)
		}
		s.req.Names = names
		e.Names = keyNames(&s.req)
	}
	p.Decide(&s.req, &s.plan)
	switch {
	case s.plan.Refusal != nil:
		e.Rule = s.plan.Refusal.Rule
		return e.refused(string(s.plan.Refusal.AppendRESP(nil)))
	case c.spec.State == command.Local || composed:
		if e.Verdict = "local"; composed {
			e.Reply = "made up of the replies to several commands upstream"
		}
		return e
	}
	if forms[c.spec.ID] != noScript && p.ConfinesScripts() {
		e.Sent = append(e.Sent, "CONFINE")
	}
	guard := s.plan.Guard
	s.plan.Guard = policy.Guard{} // shown in words, not as the script that it is sent as
	if p.Transparent() {
		s.pass(c)
	} else {
		s.send(c)
	}
	e.Rule = p.RuleName(&s.req)
	if s.plan.Limit > 0 {
		e.Sent = append(e.Sent, "LIMIT "+strconv.FormatInt(s.plan.Limit, 10))
	}
	if s.plan.Each {
		e.Sent = append(e.Sent, "LIMIT each")
	}
	if guard.Kind != policy.NoGuard {
		e.Sent = append(e.Sent, "GUARD "+guardNames[guard.Kind]+" "+strconv.FormatInt(guard.Limit, 10))
	}
	e.Sent = append(e.Sent, commandTexts(s.batch.Req)...)
	if len(e.Sent) != 1 || e.Sent[0] != e.Command {
		e.Verdict = "rewrite"
	}
	e.Reply = s.replyWords(p)
	return e
}

// keyNames are the keys that rules look at.
func keyNames(r *policy.Request) (list []string) {
	for _, name := range r.Names {
		if name.Kind == command.In || name.Kind == command.Out {
			list = append(list, string(r.Args[name.Arg]))
		}
	}
	return list
}

var guardNames = [...]string{policy.GuardAppend: "append", policy.GuardKeys: "keys", policy.GuardAfter: "after",
	policy.GuardSource: "source", policy.GuardField: "field"}

func (e Explanation) refused(raw string) Explanation {
	e.Verdict = "refuse"
	e.Reason = strings.TrimRight(strings.TrimPrefix(raw, "-"), "\r\n")
	return e
}

// commandTexts is what a client would type for each of the commands in b.
func commandTexts(b []byte) (list []string) {
	for len(b) > 0 {
		n, err := resp.Len(b)
		if err != nil || n == 0 {
			break
		}
		var args [][]byte
		for elem := range elems(b[:n]) {
			text, _ := resp.Bulk(elem)
			if name := scriptName(text); name != "" {
				text = []byte(name)
			}
			args = append(args, text)
		}
		list = append(list, quoteArgs(args))
		b = b[n:]
	}
	return list
}

// quoteArgs joins arguments as redis-cli would take them: quoted where they have to be.
func quoteArgs(args [][]byte) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = string(arg)
		if len(arg) == 0 || strings.ContainsAny(words[i], " \"'\\|") || strconv.Quote(words[i]) != `"`+words[i]+`"` {
			words[i] = strconv.Quote(words[i])
		}
	}
	return strings.Join(words, " ")
}

// scriptName stands for a script of ours, so that one can read what is sent.
func scriptName(text []byte) string {
	switch string(text) {
	case afterScript:
		return "<keep-lifetime>"
	case withinScripts[policy.NoGuard]:
		return "<run-and-keep-lifetime>"
	}
	return ""
}
