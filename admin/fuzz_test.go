package admin

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whatever is sent, the API answers JSON with a status of its own, and none is 500.
func FuzzAPI(f *testing.F) {
	r := newRig(f, nil)
	for path, methods := range r.routes() {
		for method := range methods {
			f.Add(method, path, "tenant=default&key=a&match=*&cursor=0:1&limit=1", `{"tenant":"default","command":["SET","a","b"],"key":"a","rate":0,"limit_ms":1,"level":"info"}`)
		}
	}
	f.Add("POST", "explain", "", `{"command":["EVAL","x","1"]}`)
	f.Add("POST", "explain", "", `{"command":["XREAD","STREAMS","a"]}`)
	f.Add("POST", "revocations", "", `{"all":true,"rate":null}`)
	f.Add("GET", "sessions/show", "key_base64=AA==&value=1", "")
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		req := &http.Request{Method: method, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}},
			Host: "127.0.0.1:6381", RemoteAddr: "127.0.0.1:1", Body: http.NoBody}
		req.URL = httptest.NewRequest("GET", "http://127.0.0.1:6381/", nil).URL
		req.URL.Path, req.URL.RawQuery = "/api/v1/"+path, query
		req.Body = readCloser{strings.NewReader(body)}
		w := httptest.NewRecorder()
		r.http.Handler.ServeHTTP(w, req)
		_ = r.cfg.Proxy.Resume(t.Context(), true)
		if w.Code == http.StatusInternalServerError {
			t.Errorf("%s %s?%s %s = %d %s", method, path, query, body, w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s?%s %s: no JSON: %s", method, path, query, body, w.Body)
		}
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// Whatever comes in RESP, it is read as a command or refused, and never makes more of itself than has arrived.
func FuzzRESP(f *testing.F) {
	r := newRig(f, nil)
	f.Add("*2\r\n$11\r\nSESSIONGATE\r\n$5\r\nSTATS\r\n")
	f.Add("*3\r\n$11\r\nSESSIONGATE\r\n$7\r\nEXPLAIN\r\n$3\r\nGET\r\n")
	f.Add("*-1\r\n*1\r\n$-1\r\n")
	f.Add("*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$0\r\n\r\n$0\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		in := bufio.NewReader(strings.NewReader(text))
		o := &operator{admin: r.Admin, admitted: true, who: "test"}
		for {
			words, err := readCommand(in, maxWords)
			if err != nil {
				return
			}
			if len(words) == 0 || strings.EqualFold(words[0], "AUTH") || strings.EqualFold(words[0], "HELLO") { // these wait
				continue
			}
			if len(o.answer(t.Context(), words)) == 0 {
				t.Errorf("%q has no answer", words)
			}
			_ = r.cfg.Proxy.Resume(t.Context(), true)
		}
	})
}
