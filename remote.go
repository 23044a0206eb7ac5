package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sessiongate/config"
)

// remote is a running Sessiongate, asked over its admin address.
type remote struct {
	base  string // http://host:port
	token string
	http  *http.Client
}

// reach is how a command line says where that is.
type reach struct {
	admin, tokenFile, ca, cert, key string
}

// answerLimit is how long an answer may take: the walk that counts sessions may well need that.
const answerLimit = 10 * time.Minute

func (r *reach) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&r.admin, "admin", "", "`url` of the admin address: http://host:port or just that, https://..., unix:///path; left out: that of the configuration")
	f.StringVar(&r.tokenFile, "token-file", "", "`file` with the admin token; left out: that of the configuration, or SESSIONGATE_ADMIN_TOKEN")
	f.StringVar(&r.ca, "ca", "", "PEM `file` with the authority of an https:// address")
	f.StringVar(&r.cert, "cert", "", "PEM `file` with a client certificate for an https:// address")
	f.StringVar(&r.key, "key", "", "PEM `file` with its key")
}

// remote finds out where and as whom to ask.
func (p *program) remote(r reach) (*remote, error) {
	at, token := r.admin, variable(p.environ, "SESSIONGATE_ADMIN_TOKEN")
	if at == "" {
		cfg, err := config.Load(p.flags, p.environ, os.ReadFile)
		if err != nil {
			return nil, err
		}
		if at, err = adminURL(cfg); err != nil {
			return nil, err
		}
		token = cfg.Admin.Token.Reveal()
	}
	if r.tokenFile != "" {
		text, err := os.ReadFile(r.tokenFile)
		if err != nil {
			return nil, err
		}
		token = strings.TrimSpace(string(text))
	}
	return newRemote(at, token, r)
}

// adminURL is where a Sessiongate of this configuration is asked from the same machine.
func adminURL(cfg config.Config) (string, error) {
	at := cfg.Admin.Listen
	switch {
	case !cfg.Admin.On():
		return "", usageError{errors.New("the configuration has no admin.listen; name the address with --admin")}
	case cfg.Admin.TLS.Cert != "":
		return "", usageError{errors.New("the admin address speaks TLS; name it as its certificate does, with --admin https://name:port and --ca")}
	case at.Network == "unix":
		return "unix://" + at.Address, nil
	}
	return "http://" + reachable(at), nil
}

// blind is for questions without a secret in them, to this machine: it shows nothing, and looks at no certificate, which is made out to
// the name that others use.
func blind(cfg config.Config) (*remote, error) {
	at := cfg.Admin.Listen
	address := "https://" + reachable(at)
	if at.Network == "unix" {
		address = "unix://" + at.Address
	}
	r, err := newRemote(address, "", reach{})
	if err != nil {
		return nil, err
	}
	r.base = strings.Replace(r.base, "http://", "https://", 1)
	r.http.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
	return r, nil
}

func newRemote(at, token string, with reach) (*remote, error) {
	if !strings.Contains(at, "://") {
		at = "http://" + at
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	r := &remote{base: strings.TrimSuffix(at, "/"), token: token, http: &http.Client{Transport: transport, Timeout: answerLimit}}
	u, err := url.Parse(at)
	switch {
	case err != nil:
		return nil, usageError{fmt.Errorf("--admin: %w", err)}
	case u.Scheme == "unix":
		r.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", u.Path)
		}
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, usageError{fmt.Errorf("--admin: %q is no address; write http://host:port, https://host:port or unix:///path", at)}
	}
	if with.cert != "" || with.key != "" {
		pair, err := tls.LoadX509KeyPair(with.cert, with.key)
		if err != nil {
			return nil, fmt.Errorf("--cert and --key: %w", err)
		}
		transport.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	if with.ca != "" {
		pem, err := os.ReadFile(with.ca)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in %s", with.ca)
		}
	}
	return r, nil
}

// get asks for what is at a path of the API.
func (r *remote) get(ctx context.Context, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return r.do(ctx, http.MethodGet, path, nil, into)
}

// do sends a request of the API and decodes the answer. An answer that is an error is one.
func (r *remote) do(ctx context.Context, method, path string, body, into any) error {
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(encoded)
	}
	status, answer, err := r.ask(ctx, method, "/api/v1"+path, text)
	if err != nil {
		return err
	}
	if status >= 300 {
		return apiError(status, answer)
	}
	return json.Unmarshal(answer, into)
}

// ask sends any request.
func (r *remote) ask(ctx context.Context, method, path string, body io.Reader) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, body)
	if err != nil {
		return 0, nil, err
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := r.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// apiError is what the other side says is wrong.
func apiError(status int, answer []byte) error {
	var said struct {
		Error struct {
			Message string
			Details []string
		}
	}
	if json.Unmarshal(answer, &said) != nil || said.Error.Message == "" {
		return fmt.Errorf("the admin address answers %d", status)
	}
	if status == http.StatusUnauthorized && strings.HasPrefix(said.Error.Message, "a token is needed") { // it says how in HTTP
		return errors.New("a token is needed: --token-file, or SESSIONGATE_ADMIN_TOKEN")
	}
	return errors.New(strings.Join(append([]string{said.Error.Message}, said.Error.Details...), "\n  "))
}
