package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/tidwall/redcon"

	"sessiongate/quick"
)

const (
	firstBlock = 16 << 10  // bytes of the buffer that a first read goes into, unless the last one was a short one
	shortRead  = 2 << 10   // bytes, up to which a read is one
	longRead   = 8 << 10   // a read of so many bytes looks like a part of a long pipeline
	drainBytes = 256 << 10 // read at once at most, so that a deep pipeline travels in few large batches
)

// errFull tells that a client which waits for a reply has sent more than is kept for it: as much as one request may hold, which
// is Redis's limit too. To stop reading would be no way out, since then its end would go unnoticed.
var errFull = errors.New("too much sent ahead")

// reader turns a client's bytes into whole commands. It is the session's alone.
//
// A buffer is borrowed when bytes arrive, grows with the bytes that arrived (never with what a header claims), and is
// given back when the client falls silent with nothing left in it. Over TLS the connection can't be asked for bytes without a
// buffer at hand: there shrink gives it back.
type reader struct {
	conn  net.Conn
	raw   syscall.RawConn              // nil: conn can't be read without waiting
	ready func(fd uintptr) (done bool) // r.drain, bound once so that a read allocates nothing
	look  func(fd uintptr) (done bool) // the same, without waiting

	block      *block // nil: nothing has arrived
	start, end int    // block.data[start:end] has arrived and wasn't handed out
	held       bool   // the session holds slices of block, until the next fill
	check      check  // of the command at start

	got    int   // bytes of the read under way
	long   bool  // the last read was not a short one
	total  int64 // bytes ever
	reads  uint  // how often what next returned has become invalid
	lost   error // the connection is over once the commands that have arrived are handed out
	broken error // so it is because of what the client sent
}

// newReader returns a reader of conn. Its client counts as not authenticated, which narrows the limits to Redis's own for
// such clients, until authed(true).
func newReader(conn net.Conn, limits Limits) *reader {
	r := &reader{conn: conn, check: check{limits: limits, strict: true}}
	r.ready = r.drain
	r.look = func(fd uintptr) bool { r.drain(fd); return true }
	if c, ok := conn.(syscall.Conn); ok {
		r.raw, _ = c.SyscallConn() // an error leaves it nil
	}
	return r
}

// authed says whether the client is authenticated. It holds for commands not yet handed out, even those that have arrived.
func (r *reader) authed(yes bool) { r.check.strict = !yes }

// fill blocks until at least one whole command has arrived that next can return. What next returned before is no longer
// valid then. An error means that the connection is over, except for a timeout, after which fill may be called again. A
// protocolError comes when all whole commands before the violation have been handed out.
func (r *reader) fill() error {
	r.held = false
	r.reads++
	if r.block != nil {
		r.block.args = r.block.args[:0]
	}
	for !r.whole() {
		if r.broken != nil {
			return r.broken
		}
		r.compact()
		if err := r.more(); err != nil {
			return err
		}
	}
	return nil
}

// next returns the next whole command that has arrived, without I/O: its arguments and, unless it was inline, its bytes
// exactly as received. Both are valid until the next fill. ok is false when none is left.
func (r *reader) next() (args [][]byte, raw []byte, ok bool) {
	if !r.whole() {
		return nil, nil, false
	}
	r.held = true
	return r.take()
}

// peek shows f the arguments of the commands that next will return, until f returns false or none is left. They are valid
// until f returns.
func (r *reader) peek(f func(args [][]byte) bool) {
	if r.block == nil {
		return
	}
	ahead, used := *r, r.block.args
	for ahead.whole() {
		args, _, ok := ahead.take()
		r.block.args = used
		if !ok || !f(args) {
			return
		}
	}
}

// poll reports whether there are further whole commands. It doesn't wait for any, and doesn't even look unless the last read
// brought so much that the client seems to be sending a long pipeline. What next returned is no longer valid when it says yes.
func (r *reader) poll() bool {
	if r.whole() {
		return true
	}
	if r.raw == nil || r.got < longRead || r.lost != nil || r.broken != nil {
		return false
	}
	r.held = false
	r.reads++
	if r.block != nil {
		r.block.args = r.block.args[:0]
		r.compact()
	}
	r.got = 0
	if err := r.raw.Read(r.look); err != nil {
		return false
	}
	return r.got > 0 && r.whole()
}

// await blocks until further bytes arrive behind the commands handed out, which stay valid: it watches over a client that
// waits for a reply. Its errors are those of fill, and errFull.
func (r *reader) await() error {
	if int64(r.buffered()) >= r.check.limits.Request {
		return errFull
	}
	return r.more()
}

// glanceBytes is how much a glance keeps ahead, in bytes: somebody who sends more is there.
const glanceBytes = 1 << 20

// glance looks, without waiting, whether the connection has ended, and returns how. What has arrived is kept behind the commands
// handed out, which stay valid. It finds nothing over TLS, nor behind more than is kept.
func (r *reader) glance() error {
	if r.lost == nil && r.raw != nil && r.buffered() < glanceBytes {
		r.got = 0
		_ = r.raw.Read(r.look) // fails only when somebody has interrupted reads
	}
	return r.lost
}

// buffered returns how many bytes have arrived that were not handed out.
func (r *reader) buffered() int { return r.end - r.start }

// shrink gives the buffer back if there is nothing in it. It ends the validity of what next returned.
func (r *reader) shrink() {
	r.held = false
	r.reads++
	if r.block != nil && r.start == r.end {
		r.release()
	}
}

// whole reports whether a whole command stands at start. It steps over empty ones, as Redis does.
func (r *reader) whole() bool {
	for r.start < r.end && r.broken == nil {
		n, err := r.check.scan(r.block.data[r.start:r.end])
		switch {
		case err != nil:
			r.broken = err
			return false
		case n == 0:
			return false
		case r.check.count > 0:
			return true
		}
		r.start += n
		r.check.next()
	}
	return false
}

// take hands out the command at start, which is whole.
func (r *reader) take() (args [][]byte, raw []byte, ok bool) {
	c := &r.check
	raw = r.block.data[r.start : r.start+c.at : r.start+c.at]
	if c.inline != nil {
		args, raw = c.inline, nil
	} else {
		complete, parsed, _, _, err := redcon.ReadNextCommand(raw, r.block.room(c.count))
		if err != nil || !complete || len(parsed) != c.count { // check and redcon disagree: trust neither
			r.broken = errMbulkLength
			return nil, nil, false
		}
		r.block.args = r.block.args[:len(r.block.args)+len(parsed)]
		args = parsed[:len(parsed):len(parsed)]
		for i, arg := range args { // so that appending to one can't overwrite the next
			args[i] = arg[:len(arg):len(arg)]
		}
	}
	r.start += c.at
	c.next()
	return args, raw, true
}

// more reads what has arrived, and blocks until something has.
func (r *reader) more() error {
	if r.lost != nil {
		return r.lost
	}
	r.got = 0
	var err error
	if r.raw != nil {
		err = r.raw.Read(r.ready)
	} else {
		if r.block != nil && len(r.block.data) > firstBlock {
			r.park()
		}
		r.makeRoom()
		r.got, err = r.conn.Read(r.block.data[r.end:])
		r.end += r.got
		r.total += int64(r.got)
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		r.lost = err
	}
	switch {
	case r.got > 0:
		return nil
	case r.lost != nil:
		return r.lost
	}
	return err
}

// drain reads until the socket has no more, or a batch is large enough. It returns false when nothing was there: the
// runtime then calls it again once there is.
func (r *reader) drain(fd uintptr) (done bool) {
	defer func() { r.long = r.got > shortRead || !done && r.long }()
	for r.got < drainBytes {
		r.makeRoom()
		room := r.block.data[r.end:]
		n, err := quick.Read(fd, room)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			if r.got == 0 {
				r.park()
			}
			return r.got > 0
		case err != nil:
			r.lost = os.NewSyscallError("read", err)
			return true
		case n == 0:
			r.lost = io.EOF
			return true
		}
		r.got += n
		r.total += int64(n)
		r.end += n
		if n < len(room) {
			return true
		}
	}
	return true
}

// makeRoom sees to it that there is room behind end. A full block is exchanged for a larger one.
func (r *reader) makeRoom() {
	switch {
	case r.block == nil && r.raw == nil: // this one has to be kept while the client is silent
		r.block = borrowBlock(blockSizes[0])
	case r.block == nil && r.long:
		r.block = borrowBlock(firstBlock)
	case r.block == nil:
		r.block = borrowBlock(blockSizes[0])
	case r.end == len(r.block.data):
		n := r.buffered()
		size := 2 * n
		if n < drainBytes/2 {
			size = 4 * n
		}
		if rest := r.check.last() - n; rest >= 0 { // no need for more than the command, and a bit of what follows
			size = min(size, n+rest+firstBlock)
		}
		r.exchange(max(size, firstBlock))
	}
}

// park gets ready for a wait of unknown length: a buffer that is mostly empty is given back.
func (r *reader) park() {
	switch n := r.buffered(); {
	case r.held:
	case n == 0:
		r.release()
	case n < len(r.block.data)/16 && len(r.block.data) > blockSizes[0]:
		r.exchange(2 * n)
	}
}

// exchange moves what has arrived to a block of at least size bytes.
func (r *reader) exchange(size int) {
	old := r.block
	r.block = borrowBlock(size)
	r.end = copy(r.block.data, old.data[r.start:r.end])
	r.start = 0
	if !r.held { // else the session goes on using it
		old.giveBack()
	}
}

// release gives the block back.
func (r *reader) release() {
	r.block.giveBack()
	r.block, r.start, r.end = nil, 0, 0
}

// compact moves the beginning of a command that isn't whole to the front. That happens once per command at most.
func (r *reader) compact() {
	if r.start > 0 {
		r.end = copy(r.block.data, r.block.data[r.start:r.end])
		r.start = 0
	}
}
