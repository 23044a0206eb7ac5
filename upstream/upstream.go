// Package upstream carries bytes to a Redis and its replies back.
//
// It knows connections, TLS, AUTH, databases and RESP versions of the server. It does not know tenants, rules or
// commands: a request is bytes plus the number of replies that they will bring.
package upstream

import (
	"context"
	"errors"
)

// Batch is a run of whole commands that travels contiguously, and the replies to it. The session that owns
// it fills Req, Count and Limits, calls Link.Do, and reads Replies; it reuses the Batch for the next run.
type Batch struct {
	Req   []byte // RESP commands, one after the other
	Count int    // how many replies Req will bring

	// Limits[i] is the longest bulk string in bytes that reply i may hold; 0 or a missing element means any.
	// The payload of a reply above it is discarded as it streams in: Replies[i].Over tells its length.
	Limits []int64

	// Max is how many bytes all replies together may have, unless there is only one; 0 means any. Beyond it they are
	// discarded as they stream in, and Do returns ErrFlood.
	Max int64

	// Units are the parts of Req that may go to different nodes, in order. Only a Pool that is Sharded, or reads from replicas, looks at
	// them; without any, all of Req goes to one node. What is behind the last of them belongs to it.
	Units []Unit

	Replies []Reply // one per expected reply, in order; valid until the next Do with this Batch

	private // the link's own bookkeeping; a zero Batch has none
}

// Release drops every buffer of the batch, so that a session that idles costs nothing. The next Do makes new ones.
func (b *Batch) Release() { *b = Batch{} }

// Reply is one raw RESP value. Raw is valid until the next Do of its Batch; nil when Over or Err is set.
type Reply struct {
	Raw  []byte
	Over int64 // length of the bulk string that broke the limit; 0: none did
	Err  error // why there is none, though other units of the batch have theirs: their nodes are others. The same for all replies of a unit
}

// Link carries batches to one Redis, in one RESP version and one database. It is safe for use by many sessions.
type Link interface {
	// Do sends the batch and waits for all its replies. On an error Replies hold nothing, and it is unknown whether
	// the commands ran unless SafeToRetry(err). It never sends a batch twice once a byte of it may have been written.
	// Cancelling ctx ends the wait, not the commands. After Do the link holds nothing of the batch.
	//
	// Where the Pool is sharded and the batch has several units, each of them fails by itself: Do returns nil, and the
	// replies of a unit that failed have Err, for which the same holds.
	Do(ctx context.Context, b *Batch) error
	// Close fails whatever the link carries. Sessions leave it to the Pool.
	Close() error
}

// Pipeliner is a Link that carries several batches of one owner at once.
type Pipeliner interface {
	Link
	// Start sends the batch as Do does, but doesn't wait for the replies. The batch is the link's until Wait has returned.
	Start(ctx context.Context, b *Batch) error
	// Wait waits for the replies to a batch that was started, with Do's errors.
	Wait(ctx context.Context, b *Batch) error
}

// ErrFlood is why a batch has no replies when they are larger than its Max.
var ErrFlood = errors.New("replies above the output limit")

// Error is why a batch has no replies. Err never shows credentials.
type Error struct {
	Addr string
	Sent bool // a byte of the batch may have reached the upstream
	Err  error
}

func (e *Error) Error() string { return "upstream " + e.Addr + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// SafeToRetry reports whether err says that not a byte of the batch was written.
func SafeToRetry(err error) bool {
	var e *Error
	return errors.As(err, &e) && !e.Sent
}
