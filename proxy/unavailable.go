package proxy

import (
	"errors"

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
