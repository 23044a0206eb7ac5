package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// apiError is an error as the API answers it.
type apiError struct {
	status  int
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Details []string `json:"details,omitempty"`
}

func (e *apiError) Error() string { return e.Message }

func (e *apiError) write(w http.ResponseWriter) {
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sessiongate"`)
	}
	writeJSON(w, e.status, map[string]*apiError{"error": e})
}

func fail(status int, code, format string, args ...any) *apiError {
	return &apiError{status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *apiError {
	return fail(http.StatusBadRequest, "bad_request", format, args...)
}

// upstreamError is for what the Redis behind has not done.
func upstreamError(err error) *apiError {
	return fail(http.StatusBadGateway, "upstream", "the upstream: %v", err)
}

// accepted is the answer to what goes on after it.
type accepted struct{ body any }

// endpoint answers one method of one path.
type endpoint struct {
	to access
	do func(r *http.Request) (body any, err error)
}

// dispatch has the endpoint of the request's method answer it.
func (a *Admin) dispatch(methods map[string]endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, ok := methods[r.Method]
		if !ok {
			var allow []string
			for method := range methods {
				allow = append(allow, method)
			}
			slices.Sort(allow)
			w.Header().Set("Allow", strings.Join(allow, ", "))
			fail(http.StatusMethodNotAllowed, "method_not_allowed", "this takes %s", strings.Join(allow, ", ")).write(w)
			return
		}
		if err := a.admits(r, e.to); err != nil {
			err.write(w)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		a.answer(w, r, e)
	})
}

func (a *Admin) answer(w http.ResponseWriter, r *http.Request, e endpoint) {
	defer func() {
		if p := recover(); p != nil {
			a.cfg.Proxy.Counts.Panics.Add(1)
			a.cfg.Log.Error("admin: a request ended in a panic", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			fail(http.StatusInternalServerError, "internal", "this went wrong; the log says how").write(w)
		}
	}()
	body, err := e.do(r)
	var known *apiError
	var later accepted
	switch {
	case errors.As(err, &known):
		known.write(w)
	case err != nil:
		fail(http.StatusInternalServerError, "internal", "%v", err).write(w)
	default:
		status := http.StatusOK
		if l, ok := body.(accepted); ok {
			later, status = l, http.StatusAccepted
			body = later.body
		}
		writeJSON(w, status, body)
	}
}

func (a *Admin) notFound(w http.ResponseWriter, _ *http.Request) {
	fail(http.StatusNotFound, "not_found", "there is nothing here; see docs/admin-api.md").write(w)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // from now on, not from the request on
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(true)
	_ = enc.Encode(body) // who has left needs no answer
}

// decode reads the body into v, whose fields are all that there may be. No body leaves v as it is.
func decode(r *http.Request, v any) error {
	text, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return fail(http.StatusRequestEntityTooLarge, "too_large", "the body is above the limit of %d bytes", maxBody)
	case err != nil:
		return badRequest("the body: %v", err)
	case len(bytes.TrimSpace(text)) == 0:
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return fail(http.StatusUnsupportedMediaType, "unsupported_media_type", "send Content-Type: application/json")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return badRequest("the body: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badRequest("the body: something follows the object")
	}
	return nil
}

// number reads a parameter, def if it isn't given.
func number(r *http.Request, name string, def, least, most int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, badRequest("%s: %q is not a number from %d to %d", name, text, least, most)
	}
	return n, nil
}

// stamp is a time as the API shows it.
type stamp time.Time

func (s stamp) MarshalJSON() ([]byte, error) {
	if time.Time(s).IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + time.Time(s).UTC().Format("2006-01-02T15:04:05.000Z") + `"`), nil
}

func millis(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
