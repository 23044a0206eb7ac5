package main

import (
	"fmt"
	"time"

	"github.com/valkey-io/valkey-go"

	"sessiongate-clients/checks"
	"sessiongate-clients/tap"
)

// cached is how long it may keep what it has read, unless it hears that it has changed.
const cached = 10 * time.Minute

// track reads through the cache while another client changes, expires and removes: a session that is logged out elsewhere
// must not live on here.
func track() error {
	reader, err := connect(checks.Options{Name: "reader"})
	if err != nil {
		return err
	}
	defer reader.Close()
	writer, err := connect(checks.Options{Name: "writer"})
	if err != nil {
		return err
	}
	defer writer.Close()
	c := reader.(client)
	expire := func() error { _, err := writer.Do("PEXPIRE", "session", "30"); return err }
	if tap.Rules { // each read puts an expiry back, so that none comes while it is read
		expire = func() error { _, err := writer.Do("PEXPIRE", "session", "0"); return err }
	}
	for _, change := range []struct {
		how  string
		do   func() error
		want string // what is read then
	}{
		{"a login", func() error { return writer.Set("session", []byte("v1"), time.Minute) }, "v1"},
		{"a foreign write", func() error { return writer.Set("session", []byte("v2"), time.Minute) }, "v2"},
		{"a foreign logout", func() error { _, err := writer.Del("session"); return err }, ""},
		{"a new login", func() error { return writer.Set("session", []byte("v3"), time.Minute) }, "v3"},
		{"a foreign write in a transaction", func() error { _, err := writer.Watch("session", func() error { return nil }); return err }, "v3!"},
		{"an expiry", expire, ""},
	} {
		if err := c.eventuallyCached(); err != nil {
			return fmt.Errorf("before %s: %w", change.how, err)
		}
		if err := change.do(); err != nil {
			return fmt.Errorf("%s: %w", change.how, err)
		}
		if err := c.eventually(change.want); err != nil {
			return fmt.Errorf("%s: %w", change.how, err)
		}
	}
	return nil
}

// eventuallyCached reads until the answer comes from the cache. Under the rules the first read puts the expiry back, which is
// a change, of which the cache hears.
func (c client) eventuallyCached() error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		reply := c.DoCache(ctx, c.B().Get().Key("session").Cache(), cached)
		if reply.IsCacheHit() {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no read is a cache hit: %v", reply.Error())
		}
	}
}

// cachedGet reads the session from the cache, if it is there.
func (c client) cachedGet() (string, error) {
	text, err := c.DoCache(ctx, c.B().Get().Key("session").Cache(), cached).ToString()
	if valkey.IsValkeyNil(err) {
		return "", nil
	}
	return text, err
}

// eventually waits until the cache has heard of a change.
func (c client) eventually(want string) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		got, err := c.cachedGet()
		if err != nil || got == want {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it still reads %q, not %q", got, want)
		}
	}
}
