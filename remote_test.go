package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	bounds := []float64{0.001, 0.01, 1}
	at := func(counts ...int64) topLatency { return topLatency{Counts: counts} }
	for _, e := range []struct {
		now, before topLatency
		share       float64
		want        string
	}{
		{at(90, 9, 1, 0), at(), 0.5, "<1ms"},
		{at(90, 9, 1, 0), at(), 0.99, "<10ms"},
		{at(90, 9, 1, 0), at(90, 9, 0, 0), 0.5, "<1s"},
		{at(0, 0, 0, 2), at(), 0.5, ">1s"},
		{at(5, 0, 0, 0), at(5, 0, 0, 0), 0.5, "-"},
		{at(), at(), 0.5, "-"},
	} {
		if got := quantile(bounds, e.now, e.before, e.share); got != e.want {
			t.Errorf("quantile(%v, %v, %v) = %s, want %s", e.now, e.before, e.share, got, e.want)
		}
	}
}

func TestShownUnits(t *testing.T) {
	for s, want := range map[int64]string{0: "0s", 59: "59s", 61: "1m1s", 3600: "1h0m", 172800 + 3600: "2d1h"} {
		if got := seconds(s); got != want {
			t.Errorf("seconds(%d) = %s, want %s", s, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1024: "1.0KiB", 104857: "102KiB", 8178892: "7.8MiB", 1 << 50: "1024TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %s, want %s", n, got, want)
		}
	}
	for text, want := range map[string]string{"sess:1": "sess:1", "a\x1b[2J": `"a\x1b[2J"`, "a\tb": `"a\tb"`} {
		if got := shown(text); got != want {
			t.Errorf("shown(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestNewRemote(t *testing.T) {
	for at, wrong := range map[string]bool{"http://h:1": false, "https://h:1/": false, "unix:///run/a": false, "h:1": false, "127.0.0.1:1": false, "[::1]:1": false, "ftp://h": true, "http://": true, "": true} {
		if _, err := newRemote(at, "", reach{}); (err != nil) != wrong {
			t.Errorf("%q: %v", at, err)
		}
	}
}

func TestApiError(t *testing.T) {
	for answer, want := range map[string]string{
		`{"error": {"message": "a token is needed: Authorization: ..."}}`:     "a token is needed: --token-file, or SESSIONGATE_ADMIN_TOKEN",
		`{"error": {"message": "a client certificate is needed"}}`:            "a client certificate is needed",
		`{"error": {"message": "it is wrong", "details": ["here", "there"]}}`: "it is wrong\n  here\n  there",
		`<html>`: "the admin address answers 401",
	} {
		if got := apiError(http.StatusUnauthorized, []byte(answer)).Error(); got != want {
			t.Errorf("%s: %s, want %s", answer, got, want)
		}
	}
}

func TestInherit(t *testing.T) {
	for _, e := range []struct {
		environ []string
		wrong   bool
	}{
		{nil, false},
		{[]string{"LISTEN_PID=1", "LISTEN_FDS=1"}, false}, // another process's
		{[]string{"LISTEN_PID=7", "LISTEN_FDS=many"}, true},
		{[]string{"LISTEN_PID=7", "LISTEN_FDS=0"}, false},
		{[]string{envNames + "=nonsense"}, true},
	} {
		s, err := inherit(e.environ, 7)
		if (err != nil) != e.wrong || err == nil && len(s.handed) > 0 {
			t.Errorf("%v: %v, %v", e.environ, s, err)
		}
	}
}

// Each view is of what came since the one before.
func TestTop_View(t *testing.T) {
	looks := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/stats" {
			fmt.Fprint(w, "{}")
			return
		}
		looks++
		n := []int{0, 1000, 1200}[looks-1]
		fmt.Fprintf(w, `{"uptime_s": %d, "totals": {"commands": %d}, "bounds_s": [1],
			"tenants": [{"tenant": "shop", "verdicts": {"passed": %d}, "latency": {"total": {"counts": [%d, 0]}}}],
			"commands": [{"tenant": "shop", "command": "GET", "passed": %d}, {"command": "AUTH", "local": %d}]}`, looks, n, n, n, n, looks)
	}))
	defer server.Close()
	r, err := newRemote(server.URL, "", reach{})
	if err != nil {
		t.Fatal(err)
	}
	view := top{remote: r, every: time.Second}
	var before topStats
	for i, want := range []string{" 0 commands/s", "1000 ", "200 "} {
		text, now, err := view.view(t.Context(), before)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(text, want); n != []int{1, 4, 4}[i] { // of all, of the tenant, and twice of the command
			t.Errorf("view %d has %q %d times:\n%s", i, want, n, text)
		}
		if i > 0 && !strings.Contains(text, "\n(none)  AUTH") { // who has not logged in is nobody's
			t.Errorf("view %d has no line for those without a tenant:\n%s", i, text)
		}
		before = now
	}
}
