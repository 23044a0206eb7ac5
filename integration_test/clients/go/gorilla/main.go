// Command gorilla is github.com/gorilla/sessions with the store of github.com/boj/redistore.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/boj/redistore"
	"github.com/gorilla/sessions"

	"sessiongate-clients/flow"
	"sessiongate-clients/tap"
)

const age = 15 * time.Minute

var store *redistore.RediStore

func main() {
	var err error
	if store, err = redistore.NewRediStore(10, "tcp", tap.Addr, "", tap.Password, []byte("a key that signs cookies")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	store.SetMaxAge(int(age.Seconds()))
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", login)
	mux.HandleFunc("GET /me", me)
	mux.HandleFunc("POST /refresh", refresh)
	mux.HandleFunc("POST /logout", logout)
	flow.Serve(flow.App{
		Module: "github.com/boj/redistore", Keys: "session_*", Lifetime: age,
		Fixed: "there is no call for it",
	}, mux)
}

// save stores the session and sets its cookie.
func save(w http.ResponseWriter, r *http.Request, session *sessions.Session) {
	if err := session.Save(r, w); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func get(w http.ResponseWriter, r *http.Request) (*sessions.Session, bool) {
	session, err := store.Get(r, "web")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
	return session, err == nil
}

func login(w http.ResponseWriter, r *http.Request) {
	if session, ok := get(w, r); ok {
		session.Values["user"] = r.FormValue("user")
		save(w, r, session)
	}
}

func me(w http.ResponseWriter, r *http.Request) {
	session, ok := get(w, r)
	if !ok {
		return
	}
	user, ok := session.Values["user"].(string)
	if !ok {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	fmt.Fprint(w, user)
}

func refresh(w http.ResponseWriter, r *http.Request) {
	if session, ok := get(w, r); ok {
		save(w, r, session)
	}
}

func logout(w http.ResponseWriter, r *http.Request) {
	if session, ok := get(w, r); ok {
		session.Options.MaxAge = -1
		save(w, r, session)
	}
}
