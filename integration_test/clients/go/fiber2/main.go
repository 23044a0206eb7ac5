// Command fiber2 is the session middleware of github.com/gofiber/fiber/v2 on github.com/gofiber/storage/redis.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
	"github.com/gofiber/storage/redis/v3"

	"sessiongate-clients/flow"
	"sessiongate-clients/tap"
)

const age = 15 * time.Minute

func main() {
	storage := redis.New(redis.Config{URL: tap.URL})
	store := session.New(session.Config{Storage: storage, Expiration: age})
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/login", with(store, func(c *fiber.Ctx, s *session.Session) error {
		s.Set("user", c.Query("user"))
		return s.Save()
	}))
	app.Get("/me", with(store, func(c *fiber.Ctx, s *session.Session) error {
		user, ok := s.Get("user").(string)
		if !ok {
			return c.SendStatus(fiber.StatusUnauthorized)
		}
		return c.SendString(user)
	}))
	app.Post("/refresh", with(store, func(_ *fiber.Ctx, s *session.Session) error { return s.Save() }))
	app.Post("/rotate", with(store, func(_ *fiber.Ctx, s *session.Session) error {
		if err := s.Regenerate(); err != nil {
			return err
		}
		return s.Save()
	}))
	app.Post("/logout", with(store, func(_ *fiber.Ctx, s *session.Session) error { return s.Destroy() }))

	listener, address := flow.Listen()
	go func() { fmt.Fprintln(os.Stderr, app.Listener(listener)) }()
	flow.Run(flow.App{
		Module: "github.com/gofiber/fiber/v2", Keys: "*", Lifetime: age,
		Listing: func() (int, error) {
			keys, err := storage.Keys()
			return len(keys), err
		},
	}, address)
}

// with hands the session of the request to the handler.
func with(store *session.Store, handle func(*fiber.Ctx, *session.Session) error) fiber.Handler {
	return func(c *fiber.Ctx) error {
		s, err := store.Get(c)
		if err != nil {
			return err
		}
		return handle(c, s)
	}
}
