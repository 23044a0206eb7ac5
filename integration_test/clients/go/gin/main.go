// Command gin is github.com/gin-contrib/sessions with its Redis store.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/redis"
	"github.com/gin-gonic/gin"

	"sessiongate-clients/flow"
	"sessiongate-clients/tap"
)

const age = 15 * time.Minute

func main() {
	store, err := redis.NewStore(10, "tcp", tap.Addr, "", tap.Password, []byte("a key that signs cookies"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	store.Options(sessions.Options{Path: "/", MaxAge: int(age.Seconds()), HttpOnly: true})
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(sessions.Sessions("web", store))
	engine.POST("/login", login)
	engine.GET("/me", me)
	engine.POST("/refresh", refresh)
	engine.POST("/logout", logout)
	flow.Serve(flow.App{
		Module: "github.com/gin-contrib/sessions", Keys: "session_*", Lifetime: age,
		Fixed: "there is no call for it",
	}, engine)
}

func save(c *gin.Context, session sessions.Session) {
	if err := session.Save(); err != nil {
		c.String(http.StatusInternalServerError, err.Error())
		return
	}
	c.Status(http.StatusOK)
}

func login(c *gin.Context) {
	session := sessions.Default(c)
	session.Set("user", c.Query("user"))
	save(c, session)
}

func me(c *gin.Context) {
	user, ok := sessions.Default(c).Get("user").(string)
	if !ok {
		c.String(http.StatusUnauthorized, "who are you?")
		return
	}
	c.String(http.StatusOK, user)
}

// refresh changes something: what is unchanged is not saved.
func refresh(c *gin.Context) {
	session := sessions.Default(c)
	session.Set("seen", time.Now().Unix())
	save(c, session)
}

func logout(c *gin.Context) {
	session := sessions.Default(c)
	session.Clear()
	session.Options(sessions.Options{Path: "/", MaxAge: -1})
	save(c, session)
}
