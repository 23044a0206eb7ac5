package replay

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"sessiongate/resp"
)

// value is a reply, taken apart.
type value struct {
	kind  byte // its first byte in RESP
	text  string
	items []value
	null  bool
}

func (v value) isError() bool { return v.kind == resp.Error || v.kind == resp.BulkError }

func (v value) isString() bool {
	return (v.kind == resp.String || v.kind == resp.Verbatim) && !v.null
}

func (v value) number() (int64, bool) {
	n, err := strconv.ParseInt(v.text, 10, 64)
	return n, err == nil && v.kind == resp.Integer
}

// String shows a reply in the notation of forms, shortened.
func (v value) String() string {
	switch {
	case v.null:
		return "nil"
	case v.kind == resp.Integer:
		return ":" + v.text
	case v.isString():
		return shortened(strconv.Quote(v.text))
	case v.items == nil:
		return shortened(string(v.kind) + v.text)
	}
	var all []string
	for i, item := range v.items {
		if i == 8 {
			all = append(all, "...")
			break
		}
		all = append(all, item.String())
	}
	return map[byte]string{'*': "", '%': "map", '~': "~", '>': ">"}[v.kind] + "[" + strings.Join(all, " ") + "]"
}

// without is the reply as people may see it: an error may quote the arguments of a command, and a password with them.
func (v value) without(secret string) value {
	if secret == "" {
		return v
	}
	v.text = strings.ReplaceAll(v.text, secret, "***")
	if v.items != nil {
		items := make([]value, len(v.items))
		for i := range v.items {
			items[i] = v.items[i].without(secret)
		}
		v.items = items
	}
	return v
}

func shortened(text string) string {
	const longest = 200
	if len(text) > longest {
		return text[:longest] + "..."
	}
	return text
}

// parseValue takes a whole reply apart.
func parseValue(raw []byte) value {
	kind, n, body, ok := resp.Split(raw)
	v := value{kind: kind, null: ok && n < 0 || kind == resp.Null}
	elements, isAggregate := resp.Elements(raw)
	switch {
	case v.null:
	case isAggregate:
		v.items = []value{}
		for raw, more := elements.Next(); more; raw, more = elements.Next() {
			v.items = append(v.items, parseValue(raw))
		}
	case kind == resp.Verbatim && len(body) >= 4: // txt:
		v.text = string(body[4:])
	default:
		v.text = string(body)
	}
	return v
}

// conn is a connection that reads replies whole.
type conn struct {
	net.Conn
	r   *bufio.Reader
	buf []byte
}

func (c *conn) read(patience time.Duration) (value, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for {
		n, err := resp.Len(c.buf)
		if err != nil {
			return value{}, fmt.Errorf("what comes is no RESP: %w", err)
		}
		if n > 0 {
			v := parseValue(c.buf[:n])
			c.buf = c.buf[n:]
			return v, nil
		}
		first, err := c.r.ReadByte()
		if err != nil {
			return value{}, err
		}
		c.buf = append(c.buf, first)
		waiting, _ := c.r.Peek(c.r.Buffered())
		c.buf = append(c.buf, waiting...)
		_, _ = c.r.Discard(len(waiting))
	}
}
