package proxy

import (
	"bytes"
	"errors"
	"slices"

	"github.com/tidwall/redcon"

	"sessiongate/upstream"
)

// What a client is told when the upstream fails begins and ends with these; README has all that may stand between them.
const (
	unavailable = "ERR upstream unavailable: "

	notRun   = "; the command has not run"
	maybeRun = "; the command may or may not have run"
	partRun  = "; the command may have run in part"
	hasRun   = "; the command has run"
)

// appendUnavailable says why the upstream has not answered, and whether the command may have run.
func appendUnavailable(dst []byte, err error) []byte {
	var role *upstream.RoleError
	if errors.As(err, &role) {
		return redcon.AppendError(dst, errWall)
	}
	outcome := maybeRun
	switch {
	case upstream.SafeToRetry(err):
		outcome = notRun
	case errors.Is(err, upstream.ErrFlood):
		outcome = hasRun
	}
	return redcon.AppendError(dst, unavailable+why(err)+outcome)
}

// why is the part of an upstream error that a client may see: why, not where.
func why(err error) string {
	var e *upstream.Error
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}

// failedPart is the reply to a command in parts, of which replies[i] is an error. What that says of having run is said of its part alone:
// unless it is said of each that it has not run, the command may have run in part.
func failedPart(replies [][]byte, i int) []byte {
	reply, ending := replies[i], []byte(notRun+"\r\n")
	idle := func(reply []byte) bool { return isUnavailable(reply) && bytes.HasSuffix(reply, ending) }
	if !isUnavailable(reply) || !slices.ContainsFunc(replies, func(reply []byte) bool { return !idle(reply) }) {
		return reply
	}
	for _, outcome := range [...]string{notRun, maybeRun, hasRun} {
		if cause, ok := bytes.CutSuffix(reply, []byte(outcome+"\r\n")); ok {
			return append(slices.Clip(cause), partRun+"\r\n"...)
		}
	}
	return reply
}

// isUnavailable reports whether a reply is an error of ours that says why the upstream has not answered.
func isUnavailable(reply []byte) bool { return bytes.HasPrefix(reply, []byte("-"+unavailable)) }
