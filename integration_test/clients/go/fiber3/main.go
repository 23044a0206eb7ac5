// Command fiber3 is the session middleware of github.com/gofiber/fiber/v3 on github.com/gofiber/storage/redis.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"
	"github.com/gofiber/storage/redis/v3"

	"sessiongate-clients/flow"
	"sessiongate-clients/tap"
)

const age = 15 * time.Minute

func main() {
	storage := redis.New(redis.Config{URL: tap.URL})
	app := fiber.New()
	app.Use(session.New(session.Config{Storage: storage, IdleTimeout: age}))
	app.Post("/login", func(c fiber.Ctx) error {
		s := session.FromContext(c)
		if err := s.Regenerate(); err != nil {
			return err
		}
		s.Set("user", c.Query("user"))
		return nil
	})
	app.Get("/me", func(c fiber.Ctx) error {
		user, ok := session.FromContext(c).Get("user").(string)
		if !ok {
			return c.SendStatus(fiber.StatusUnauthorized)
		}
		return c.SendString(user)
	})
	app.Post("/refresh", func(fiber.Ctx) error { return nil }) // the middleware saves after each request
	app.Post("/rotate", func(c fiber.Ctx) error { return session.FromContext(c).Regenerate() })
	app.Post("/logout", func(c fiber.Ctx) error { return session.FromContext(c).Destroy() })

	listener, address := flow.Listen()
	go func() {
		fmt.Fprintln(os.Stderr, app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}))
	}()
	flow.Run(flow.App{
		Module: "github.com/gofiber/fiber/v3", Keys: "*", Lifetime: age,
		Listing: func() (int, error) {
			keys, err := storage.Keys()
			return len(keys), err
		},
	}, address)
}
