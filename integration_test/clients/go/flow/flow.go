// Package flow takes a web application through the life of a session, over real HTTP, and looks at the session's key in
// Redis between the steps.
//
// The application answers POST /login?user=NAME by a session with that user, GET /me by the user's name or 401, POST
// /refresh by whatever its library does to prolong a session, POST /rotate by a new id, and POST /logout.
package flow

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"

	"sessiongate-clients/tap"
)

// App is an application under test.
type App struct {
	Module   string              // whose version is told
	Keys     string              // the pattern of its keys
	Lifetime time.Duration       // that it gives a session
	Absolute string              // why it doesn't prolong sessions; empty: it does
	Fixed    string              // why a session's id stays; empty: it can be renewed
	Listing  func() (int, error) // counts the sessions by the library's own means; nil: it has none
}

// Listen is where the application is to be served, and its address.
func Listen() (net.Listener, string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return l, "http://" + l.Addr().String()
}

// Serve runs the flow on an application that is an http.Handler, and ends the program.
func Serve(app App, handler http.Handler) {
	l, address := Listen()
	go http.Serve(l, handler)
	Run(app, address)
}

// Run runs the flow on the application at the address, and ends the program.
func Run(app App, address string) {
	tap.Version(app.Module)
	f := &flow{app: app, address: address}
	tap.Check("create", f.create)
	tap.Check("read", f.read)
	tap.Check("parallel", f.parallel)
	if app.Absolute != "" {
		tap.Skip("refresh", app.Absolute)
	} else {
		tap.Check("refresh", f.refresh)
	}
	if app.Fixed != "" {
		tap.Skip("rotate", app.Fixed)
	} else {
		tap.Check("rotate", f.rotate)
	}
	tap.Check("logout", f.logout)
	tap.Check("expiry", f.expiry)
	if app.Listing != nil {
		tap.Check("listing", f.listing)
	}
	tap.Done()
}

// flow is where it has got to.
type flow struct {
	app     App
	address string
	redis   redis.Conn
	ann     *browser
	key     string // of ann's session
}

// browser is a user with cookies.
type browser struct {
	client  http.Client
	address string
}

func (f *flow) open() *browser {
	jar, _ := cookiejar.New(nil) // it has no error to tell
	return &browser{http.Client{Jar: jar, Timeout: 20 * time.Second}, f.address}
}

// do sends a request and expects the status; it returns what the page says.
func (b *browser) do(method, path string, status int) (string, error) {
	request, err := http.NewRequest(method, b.address+path, nil)
	if err != nil {
		return "", err
	}
	response, err := b.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != status {
		err = fmt.Errorf("%s %s answers %d, want %d: %s", method, path, response.StatusCode, status, body)
	}
	return string(body), err
}

// is expects the browser to be somebody's, or nobody's.
func (b *browser) is(user string) error {
	if user == "" {
		_, err := b.do("GET", "/me", http.StatusUnauthorized)
		return err
	}
	body, err := b.do("GET", "/me", http.StatusOK)
	if err == nil && body != user {
		err = fmt.Errorf("the session is %q's, want %q's", body, user)
	}
	return err
}

// copied is a browser with the same cookies, which keeps them.
func (b *browser) copied() *browser {
	jar, _ := cookiejar.New(nil)
	at, _ := url.Parse(b.address) // it was used already
	jar.SetCookies(at, b.client.Jar.Cookies(at))
	return &browser{http.Client{Jar: jar, Timeout: b.client.Timeout}, b.address}
}

// login logs somebody in and returns the key that is new in Redis.
func (f *flow) login(b *browser, user string) (key string, err error) {
	before, err := f.keys()
	if err != nil {
		return "", err
	}
	if _, err := b.do("POST", "/login?user="+user, http.StatusOK); err != nil {
		return "", err
	}
	return f.newKey(before)
}

func (f *flow) keys() ([]string, error) {
	if f.redis == nil {
		conn, err := redis.DialURL(tap.URL)
		if err != nil {
			return nil, err
		}
		f.redis = conn
	}
	return redis.Strings(f.redis.Do("KEYS", f.app.Keys))
}

// newKey is the one key that was not there before.
func (f *flow) newKey(before []string) (string, error) {
	after, err := f.keys()
	if err != nil {
		return "", err
	}
	created := slices.DeleteFunc(after, func(key string) bool { return slices.Contains(before, key) })
	if len(created) != 1 {
		return "", fmt.Errorf("new keys are %q, want one", created)
	}
	return created[0], nil
}

// ttl expects the key to end in the given time, or under the rules within them.
func (f *flow) ttl(key string, want time.Duration) error {
	got, err := redis.Int(f.redis.Do("TTL", key))
	low, high := int(want.Seconds())-20, int(want.Seconds())
	if tap.Rules {
		low, high = 1, 43200
	}
	if err == nil && (got < low || got > high) {
		err = fmt.Errorf("the TTL of %s is %d, want %d to %d", key, got, low, high)
	}
	return err
}

func (f *flow) gone(key string) error {
	n, err := redis.Int(f.redis.Do("EXISTS", key))
	if err == nil && n != 0 {
		err = fmt.Errorf("%s is still there", key)
	}
	return err
}

func (f *flow) create() (err error) {
	f.ann = f.open()
	if f.key, err = f.login(f.ann, "ann"); err != nil {
		return err
	}
	return f.ttl(f.key, f.app.Lifetime)
}

func (f *flow) read() error {
	if err := f.ann.is("ann"); err != nil {
		return err
	}
	if err := f.open().is(""); err != nil {
		return err
	}
	bob := f.open()
	if _, err := f.login(bob, "bob"); err != nil {
		return err
	}
	if err := bob.is("bob"); err != nil {
		return err
	}
	return f.ann.is("ann")
}

func (f *flow) parallel() error {
	errs := make([]error, 20)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = f.ann.is("ann") })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// refresh leaves the session a minute and expects the library to give it more again.
func (f *flow) refresh() error {
	if _, err := f.redis.Do("EXPIRE", f.key, 60); err != nil {
		return err
	}
	if _, err := f.ann.do("POST", "/refresh", http.StatusOK); err != nil {
		return err
	}
	left, err := redis.Int(f.redis.Do("TTL", f.key))
	if err == nil && left <= 60 {
		err = fmt.Errorf("%d s are left of it, it was not prolonged", left)
	}
	if err != nil {
		return err
	}
	if err := f.ttl(f.key, f.app.Lifetime); err != nil {
		return err
	}
	return f.ann.is("ann")
}

func (f *flow) rotate() error {
	old, before := f.ann.copied(), f.key
	keys, err := f.keys()
	if err != nil {
		return err
	}
	if _, err := f.ann.do("POST", "/rotate", http.StatusOK); err != nil {
		return err
	}
	if f.key, err = f.newKey(keys); err != nil {
		return err
	}
	if err := f.gone(before); err != nil {
		return err
	}
	if err := f.ann.is("ann"); err != nil {
		return err
	}
	if err := old.is(""); err != nil {
		return fmt.Errorf("with the old id: %w", err)
	}
	return f.ttl(f.key, f.app.Lifetime)
}

func (f *flow) logout() error {
	old := f.ann.copied()
	if _, err := f.ann.do("POST", "/logout", http.StatusOK); err != nil {
		return err
	}
	if err := f.gone(f.key); err != nil {
		return err
	}
	if err := f.ann.is(""); err != nil {
		return err
	}
	if err := old.is(""); err != nil {
		return fmt.Errorf("with the old cookie: %w", err)
	}
	return nil
}

// expiry ends a session as time would.
func (f *flow) expiry() error {
	cay := f.open()
	key, err := f.login(cay, "cay")
	if err != nil {
		return err
	}
	if err := f.ttl(key, f.app.Lifetime); err != nil {
		return err
	}
	if _, err := f.redis.Do("PEXPIRE", key, 0); err != nil {
		return err
	}
	return cay.is("")
}

func (f *flow) listing() error {
	keys, err := f.keys()
	if err != nil {
		return err
	}
	n, err := f.app.Listing()
	if err == nil && n != len(keys) {
		err = fmt.Errorf("it lists %d sessions, there are %d", n, len(keys))
	}
	return err
}
