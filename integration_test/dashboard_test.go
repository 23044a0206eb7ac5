//go:build browser

package integration_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser opens the dashboard in a headless Chromium. What the page logs as an error fails the test: a script or style that the
// Content-Security-Policy forbids, or what was thrown.
func browser(t *testing.T) context.Context {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page threw: %s", e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			t.Errorf("the page said: %s", e.Args[0].Value)
		}
	})
	return ctx
}

// does runs actions in the browser.
func does(t *testing.T, ctx context.Context, what string, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var text string
		_ = chromedp.Run(ctx, chromedp.Text("body", &text))
		t.Fatalf("%s: %v\nthe page:\n%s", what, err, text)
	}
}

// shows waits until an element's text has a part.
func shows(t *testing.T, ctx context.Context, id, part string) {
	t.Helper()
	does(t, ctx, fmt.Sprintf("#%s shows %q", id, part), chromedp.Poll(fmt.Sprintf("document.getElementById(%q).textContent.includes(%q)", id, part), nil,
		chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(20*time.Second)))
}

// confirm answers the dialog that is open.
func confirm() chromedp.Action {
	return chromedp.Tasks{chromedp.WaitVisible("#askYes"), chromedp.Click("#askYes"), chromedp.WaitNotVisible("#ask")}
}

func TestDashboard(t *testing.T) {
	r := startRedis(t)
	admin := loopback(freePort(t))
	path := writeFile(t, "sessiongate.yaml", "")
	config := func(size string) {
		text := "listen: " + loopback(nextGate(t)) + "\n" + r.upstream() + `namespace: "shop:"
slow_log: 20ms
rules:
  - {name: locks, keys: ["*_LOCK"], expiry: {max: 5m}}
  - {name: web, keys: ["sess:*"], expiry: {idle: 30m, lifetime: 12h}, size: {value: ` + size + `}}
  - {name: rest, expiry: {default: 1h}, commands: {deny: [flushall, flushdb]}}
admin: {listen: ` + admin + `, token: ` + adminToken + "}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config("1KiB")
	g := runGate(t, plainProgram, nil, "serve", "--config", path)
	g.addr = loopback(gatePort)
	g.waitFor(t, "tcp", g.addr)
	g.waitFor(t, "tcp", admin)

	evil := `sess:<img src=x onerror="document.title='owned'">`
	c := dial(t, g.addr)
	c.want(ok, "CLIENT", "SETNAME", "shop-web-1")
	c.want(ok, "SET", evil, "v")
	for i := range 300 {
		c.want(ok, "SET", fmt.Sprintf("sess:%d", i), strings.Repeat("x", 1+i*3))
	}
	for i := range 40 {
		c.do("HSET", fmt.Sprint("cart:", i), "a", "b")
	}
	c.do("SET", "sess:big", strings.Repeat("x", 2000))
	c.do("FLUSHALL")
	c.do("NONSENSE")
	l := startLoad(t, g.addr, 4)

	ctx := browser(t)
	does(t, ctx, "open", chromedp.EmulateViewport(1280, 900), chromedp.Navigate("http://"+admin+"/"))
	does(t, ctx, "give a wrong token", chromedp.WaitVisible("#askInput"), chromedp.SendKeys("#askInput", "wrong"), chromedp.Click("#askYes"))
	shows(t, ctx, "askText", "not right")
	does(t, ctx, "give the token", chromedp.WaitVisible("#askInput"), chromedp.SendKeys("#askInput", adminToken+"\r"), chromedp.WaitNotVisible("#ask"))
	shows(t, ctx, "state", "ready")
	shows(t, ctx, "recent", "value of 2000 bytes is above the limit of 1024")
	shows(t, ctx, "recent", "shop-web-1")
	shows(t, ctx, "rules", "web")
	shows(t, ctx, "upstreams", r.addr)
	shows(t, ctx, "clients", "shop-web-1")
	does(t, ctx, "charts are drawn", chromedp.WaitReady("#verdictChart polygon"), chromedp.WaitReady("#latencyChart polyline"))

	does(t, ctx, "audit", chromedp.Click("#audit"))
	shows(t, ctx, "auditState", "done")
	shows(t, ctx, "histograms", "time to live")

	does(t, ctx, "list", chromedp.SendKeys("#match", "sess:<*"), chromedp.Click("#list"))
	shows(t, ctx, "sessions", evil)
	does(t, ctx, "revoke one", chromedp.Click("#sessions tbody button"), confirm())
	shows(t, ctx, "revocation", "Revoked 1 session")
	dial(t, r.addr).want(":0\r\n", "EXISTS", "shop:"+evil)

	does(t, ctx, "revoke by pattern, but not", chromedp.SetValue("#match", "sess:1*"), chromedp.Click("#revokeAll"), chromedp.WaitVisible("#askNo"), chromedp.Click("#askNo"))
	dial(t, r.addr).want(":1\r\n", "EXISTS", "shop:sess:1")
	does(t, ctx, "revoke by pattern", chromedp.Click("#revokeAll"), confirm())
	shows(t, ctx, "revocation", "done")
	dial(t, r.addr).want(":0\r\n", "EXISTS", "shop:sess:1")

	config("2KiB")
	does(t, ctx, "reload", chromedp.Click("#reload"), confirm())
	shows(t, ctx, "rules", "2KiB")
	does(t, ctx, "pause", chromedp.Click("#pause"), confirm())
	shows(t, ctx, "state", "paused")
	does(t, ctx, "resume", chromedp.Click("#pause"), confirm())
	shows(t, ctx, "state", "ready")

	does(t, ctx, "filter", chromedp.SetValue("#tenant", "default"), chromedp.Evaluate(`document.getElementById("tenant").dispatchEvent(new Event("change"))`, nil))
	does(t, ctx, "list again", chromedp.SetValue("#match", "sess:2*"), chromedp.Click("#list"))
	shows(t, ctx, "sessions", "sess:2")
	does(t, ctx, "charts are drawn again", chromedp.Poll(`(document.querySelector("#latencyChart polyline")?.points.length || 0) >= 6`, nil, chromedp.WithPollingInterval(100*time.Millisecond), chromedp.WithPollingTimeout(30*time.Second)))

	var title string
	var scroll, inner int
	does(t, ctx, "look", chromedp.Title(&title))
	if title != "Sessiongate" {
		t.Errorf("a key's name has been taken for a script: the title is %q", title)
	}
	keep := os.Getenv("DASHBOARD_PICTURES") // a directory
	for _, each := range []struct {
		name, scheme string
		width        int64
	}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"narrow", "light", 400}} {
		var png []byte
		does(t, ctx, each.name, chromedp.EmulateViewport(each.width, 1500),
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: each.scheme}}),
			chromedp.Evaluate("document.documentElement.scrollWidth", &scroll), chromedp.Evaluate("innerWidth", &inner), chromedp.Evaluate("scrollTo(0, 0)", nil),
			// The charts are drawn anew at the next look, as wide as there is room now.
			chromedp.Evaluate("document.querySelector('#verdictChart svg').remove()", nil), chromedp.WaitReady("#verdictChart svg"), chromedp.CaptureScreenshot(&png))
		if scroll > inner {
			t.Errorf("%s: the page is %d wide in a window of %d", each.name, scroll, inner)
		}
		if keep != "" {
			if err := os.WriteFile(filepath.Join(keep, "dashboard-"+each.name+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.finish(t)
}

var gatePort int

// nextGate is where the gate listens, in every version of its configuration.
func nextGate(t *testing.T) int {
	if gatePort == 0 {
		gatePort = freePort(t)
	}
	return gatePort
}
