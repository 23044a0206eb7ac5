// Command scs is github.com/alexedwards/scs with its store for redigo, and an idle timeout; with -goredis its store for
// go-redis, and its default, an absolute lifetime.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/gomodule/redigo/redis"
	goredis "github.com/redis/go-redis/v9"

	"sessiongate-clients/flow"
	"sessiongate-clients/tap"
)

const idle = 20 * time.Minute

var sessions = scs.New()

func main() {
	app := flow.App{
		Module: "github.com/alexedwards/scs/v2", Keys: "scs:session:*", Lifetime: idle,
		Listing: list,
	}
	if slices.Contains(os.Args, "-goredis") {
		options, err := goredis.ParseURL(tap.URL)
		if err != nil {
			panic(err)
		}
		sessions.Store = goredisstore.New(goredis.NewClient(options))
		app.Lifetime = sessions.Lifetime
		app.Absolute = "lifetimes are absolute, unless there is an IdleTimeout"
	} else {
		sessions.Store = redisstore.New(&redis.Pool{MaxIdle: 10, Dial: func() (redis.Conn, error) { return redis.DialURL(tap.URL) }})
		sessions.IdleTimeout = idle
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", login)
	mux.HandleFunc("GET /me", me)
	mux.HandleFunc("POST /refresh", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /rotate", rotate)
	mux.HandleFunc("POST /logout", logout)
	flow.Serve(app, sessions.LoadAndSave(mux))
}

// list counts the sessions that can be read.
func list() (n int, err error) {
	err = sessions.Iterate(context.Background(), func(ctx context.Context) error {
		if sessions.GetString(ctx, "user") != "" {
			n++
		}
		return nil
	})
	return n, err
}

func login(w http.ResponseWriter, r *http.Request) {
	if err := sessions.RenewToken(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	sessions.Put(r.Context(), "user", r.FormValue("user"))
}

func me(w http.ResponseWriter, r *http.Request) {
	user := sessions.GetString(r.Context(), "user")
	if user == "" {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	fmt.Fprint(w, user)
}

func rotate(w http.ResponseWriter, r *http.Request) {
	if err := sessions.RenewToken(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func logout(w http.ResponseWriter, r *http.Request) {
	if err := sessions.Destroy(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
