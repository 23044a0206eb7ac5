package integration_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// wishes makes a pipeline: single commands, several, a transaction, or one that waits.
func (c *witness) wishes() []wish {
	switch p := c.chance.IntN(10); {
	case p < 2:
		return []wish{c.incr()}
	case p < 3:
		return []wish{c.get(c.chance.IntN(len(c.keys)))}
	case p < 5:
		return c.transaction()
	case p < 6:
		return []wish{c.push(), c.pop(1)}
	case p < 7:
		return []wish{c.pop(0.02)}
	}
	var list []wish
	for range 1 + c.chance.IntN(4) {
		k := c.chance.IntN(len(c.keys))
		list = append(list, c.incr(), c.append(), c.set(k), c.get(k))
	}
	c.chance.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func (c *witness) name(of string) string {
	c.next++
	return c.tag + of + "=" + strconv.Itoa(c.next)
}

// incr counts. What comes back is one more than before, and more yet only by what was tried without an answer.
func (c *witness) incr() wish {
	n := &c.counter
	n.tried++
	return wish{[]string{"INCR", c.tag + "counter"}, func(reply string) bool {
		switch reply {
		case notRun:
			n.tried--
			return true
		case "":
			return true
		}
		v, err := strconv.Atoi(strings.Trim(reply, ":\r\n"))
		if err != nil || reply[0] != ':' {
			return false
		}
		return c.counted(v)
	}}
}

func (c *witness) counted(v int) bool {
	n := &c.counter
	if v > n.tried {
		c.all.problem("client %d: the counter is %d after %d attempts: run twice, or somebody else's", c.id, v, n.tried-n.base)
		n.tried = v // it has been said
	}
	for len(n.acks) > 0 && n.acks[len(n.acks)-1].value >= v {
		c.all.missing(n.acks[len(n.acks)-1].at)
		n.acks = n.acks[:len(n.acks)-1]
	}
	n.last = v
	n.acks = append(n.acks, ack{v, time.Now()})
	return v >= n.base
}

// append adds to the list in which each token is to be found once in the end.
func (c *witness) append() wish {
	key, name, t := c.tag+"journal", c.name("journal"), &token{}
	c.journal[name] = t
	return wish{[]string{"RPUSH", key, name}, t.pushed}
}

func (t *token) pushed(reply string) bool {
	switch reply {
	case notRun:
		t.never = true
		return true
	case "":
		return true
	}
	t.acked = time.Now()
	return reply[0] == ':'
}

// set writes a value that names its key.
func (c *witness) set(k int) wish {
	key := c.tag + "k" + strconv.Itoa(k)
	token := c.name("k" + strconv.Itoa(k))
	seq, cell := c.next, &c.keys[k]
	cell.doubt[seq] = true
	return wish{[]string{"SET", key, token}, func(reply string) bool {
		if reply == ok {
			delete(cell.doubt, seq)
			cell.acked, cell.at = seq, time.Now()
		}
		if reply == notRun {
			delete(cell.doubt, seq)
		}
		return reply == "" || reply == ok || reply == notRun
	}}
}

// get reads what was written last, or what was tried without an answer.
func (c *witness) get(k int) wish {
	name := c.tag + "k" + strconv.Itoa(k)
	return wish{[]string{"GET", name}, func(reply string) bool {
		if reply == "" || reply == notRun {
			return true
		}
		v, err := parse(reply)
		if err != nil || v.kind != '$' {
			return false
		}
		return c.found(k, v)
	}}
}

func (c *witness) found(k int, v value) bool {
	cell := &c.keys[k]
	seq := 0
	if !v.null {
		key, n, _ := strings.Cut(v.text, "=")
		var err error
		if seq, err = strconv.Atoi(n); err != nil || key != c.tag+"k"+strconv.Itoa(k) {
			return false
		}
	}
	if seq != cell.acked && !cell.doubt[seq] {
		if seq > cell.acked {
			return false // never written, or not to this key
		}
		c.all.missing(cell.at)
		cell.acked = seq
	}
	return true
}

// push and pop take a token through a list; whoever gets one gets it once.
func (c *witness) push() wish {
	name, t := c.name("queue"), &token{}
	c.queue[name] = t
	return wish{[]string{"RPUSH", c.tag + "queue", name}, t.pushed}
}

func (c *witness) pop(seconds float64) wish {
	return wish{[]string{"BLPOP", c.tag + "queue", fmt.Sprint(seconds)}, func(reply string) bool {
		switch reply {
		case notRun:
			return true
		case "":
			c.popFails++
			return true
		}
		v, err := parse(reply)
		if err == nil && v.null {
			return true
		}
		if err != nil || len(v.elems) != 2 || v.elems[0].text != c.tag+"queue" {
			return false
		}
		e := c.queue[v.elems[1].text]
		if e == nil {
			return false
		}
		if !e.popped.IsZero() { // the pop is what is missing
			c.all.missing(e.popped)
		}
		e.popped = time.Now()
		return true
	}}
}

// transaction is everything at once or nothing.
func (c *witness) transaction() []wish {
	k := c.chance.IntN(len(c.keys))
	inner := []wish{c.incr(), c.append(), c.set(k), c.get(k)}
	begun := false
	list := []wish{{[]string{"MULTI"}, func(reply string) bool {
		begun = reply == ok
		return reply == "" || reply == ok || reply == notRun
	}}}
	for _, w := range inner {
		list = append(list, wish{w.args, func(reply string) bool {
			if reply == "+QUEUED\r\n" || reply == "" || reply == notRun && begun {
				return true
			}
			return !begun && w.judge(reply) // it must not run by itself unless there is no transaction
		}})
	}
	return append(list, wish{[]string{"EXEC"}, func(reply string) bool {
		switch reply {
		case notRun:
			for _, w := range inner {
				if begun {
					w.judge(notRun)
				}
			}
			return true
		case "":
			return true
		}
		each := elements(reply)
		if len(each) != len(inner) {
			return false
		}
		for i, w := range inner {
			if strings.HasPrefix(each[i], "-") || !w.judge(each[i]) {
				return false
			}
		}
		return true
	}})
}

// verify holds what the witness knows against what there is when all faults are over.
func (c *witness) verify(t testing.TB) {
	t.Helper()
	direct := dial(t, c.all.addr)
	eventually(t, "service is back for the last look", func() bool { return direct.do("EXISTS", c.tag+"counter") == one })
	n, err := strconv.Atoi(strings.SplitN(direct.do("GET", c.tag+"counter"), "\r\n", 3)[1])
	if err != nil || n > c.counter.tried {
		c.all.problem("client %d: the counter is %d in the end, after %d attempts", c.id, n, c.counter.tried-c.counter.base)
	}
	for _, a := range c.counter.acks {
		if a.value > n {
			c.all.missing(a.at)
		}
	}
	for k := range c.keys {
		if v, err := parse(direct.do("GET", c.tag+"k"+strconv.Itoa(k))); err != nil || !c.found(k, v) {
			c.all.problem("client %d: key %d is %q in the end", c.id, k, v.text)
		}
	}
	c.verifyList(direct, "journal", c.journal, 0)
	c.verifyList(direct, "queue", c.queue, c.popFails)
}

// verifyList looks for tokens that are there twice, that nobody wrote, or that are missing; forgiven are so many missing.
func (c *witness) verifyList(direct *conn, name string, tokens map[string]*token, forgiven int) {
	v, err := parse(direct.do("LRANGE", c.tag+name, "0", "-1"))
	if err != nil || v.kind != '*' {
		c.all.problem("client %d: the %s can't be read: %v", c.id, name, err)
		return
	}
	there := map[string]int{}
	for _, e := range v.elems {
		there[e.text]++
		switch known := tokens[e.text]; {
		case known == nil:
			c.all.problem("client %d: the %s has %q, which it never wrote", c.id, name, e.text)
		case known.never:
			c.all.problem("client %d: the %s has %q, of which an error said that it has not run", c.id, name, e.text)
		case there[e.text] == 2:
			c.all.problem("client %d: the %s has %q twice", c.id, name, e.text)
		case !known.popped.IsZero():
			c.all.missing(known.popped)
		}
	}
	for token, e := range tokens {
		if there[token] == 0 && !e.acked.IsZero() && e.popped.IsZero() {
			if forgiven--; forgiven < 0 {
				c.all.missing(e.acked)
			}
		}
	}
}
