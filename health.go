package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sessiongate/config"
)

// healthLimit is how long a health check may take.
const healthLimit = 5 * time.Second

func (p *program) healthCommand() *cobra.Command {
	var to reach
	var ready bool
	c := &cobra.Command{
		Use:   "health",
		Short: "Tell by the exit code whether a Sessiongate serves, for containers",
		Long: "Ask a running Sessiongate how it is: 0 if it serves, 1 if not. It is asked at its admin address;\n" +
			"where there is none, with a PING at the first address that it listens on.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), healthLimit)
			defer cancel()
			return p.health(ctx, to, ready)
		},
	}
	to.flags(c)
	c.Flags().BoolVar(&ready, "ready", false, "whether new clients should come: the upstream answers, and it is not about to end")
	return c
}

func (p *program) health(ctx context.Context, to reach, ready bool) error {
	if to.admin == "" {
		cfg, err := config.Load(p.flags, p.environ, os.ReadFile)
		if err != nil {
			return err
		}
		switch {
		case !cfg.Admin.On() && !ready:
			return sayPing(ctx, cfg)
		case cfg.Admin.TLS.Cert != "":
			r, err := blind(cfg)
			if err != nil {
				return err
			}
			return p.askHealth(ctx, r, ready)
		}
	}
	r, err := p.remote(to)
	if err != nil {
		return err
	}
	return p.askHealth(ctx, r, ready)
}

func (p *program) askHealth(ctx context.Context, r *remote, ready bool) error {
	path := "/healthz"
	if ready {
		path = "/readyz"
	}
	status, answer, err := r.ask(ctx, http.MethodGet, path, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("it answers %d: %s", status, strings.TrimSpace(string(answer)))
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, "ok")
	return err
}

// sayPing says PING at the first listener that can be asked without a certificate. Whatever is answered is a sign of life: that a password is
// wanted, or that there are as many clients as there may be.
func sayPing(ctx context.Context, cfg config.Config) error {
	for _, at := range places(cfg) {
		if at.at.TLS {
			continue
		}
		conn, err := new(net.Dialer).DialContext(ctx, at.at.Network, reachable(at.at))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(healthLimit))
		if _, err := conn.Write([]byte("PING\r\n")); err != nil {
			return err
		}
		var answer [64]byte
		n, err := conn.Read(answer[:])
		if text := string(answer[:n]); strings.HasPrefix(text, "+") || strings.HasPrefix(text, "-") {
			return nil
		}
		return errors.Join(fmt.Errorf("it answers %q", answer[:n]), err)
	}
	return usageError{errors.New("every address speaks TLS; configure admin.listen to ask there")}
}

// reachable is where a listener is reached from the same machine.
func reachable(at config.Listener) string {
	host, port, err := net.SplitHostPort(at.Address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return at.Address
}
