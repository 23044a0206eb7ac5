package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// The drivers that a Config may name.
const (
	DriverShared  = "shared"   // many clients share a connection: the fast one
	DriverGoRedis = "go-redis" // plain go-redis with its own pool: baseline and fallback
)

// Config says where the upstream is and how to behave towards it. A zero field means its default.
type Config struct {
	// URL is redis://[user[:password]@]host[:port][/db], rediss://... for TLS or unix://[user[:password]@]/path[?db=n],
	// with the query options of go-redis's ParseURL (dial_timeout and read_timeout win over the fields below).
	// redis-cluster://[user[:password]@]host[:port][,host[:port]...], or rediss-cluster://, names some nodes of a Redis Cluster, with the
	// same options. What is per upstream below is per node then.
	// Default redis://127.0.0.1:6379/0.
	URL string

	Driver string // DriverShared (default) or DriverGoRedis

	Links int // shared connections per RESP version and database; a session keeps to one. Default 1

	Hold           time.Duration // how long what is not yet sent waits for a lost upstream to return; negative: not at all. Default 5s
	ConnectTimeout time.Duration // for dialing, TLS and the handshake together. Default 2s
	ReadTimeout    time.Duration // a link that owes replies and brings no byte for this long is given up. Default 5s
	HealthInterval time.Duration // distance of health checks, and of PINGs on idle links. Default 1s
	IdleTimeout    time.Duration // links and pooled dedicated connections nobody used for this long are closed. Default 5m

	MaxInFlight  int64 // bytes of requests that may wait to be written on one link; a batch counts for a 16th at most. Default 64 MiB
	MaxDedicated int   // dedicated connections open at once. Default 5000
	MaxIdle      int   // dedicated connections kept for reuse. Default 32

	TLS TLS // needs a rediss:// URL
}

// TLS says how to check the upstream's certificate and which one to show.
type TLS struct {
	CAFile     string // PEM file of authorities. Default: the system's
	CertFile   string // PEM file of our certificate, when the upstream wants one
	KeyFile    string // its key
	ServerName string // name to expect in the upstream's certificate. Default: the URL's host
	Insecure   bool   // accept any certificate: for trying out only
}

// withDefaults returns c with its zero fields set.
func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Hold, 5*time.Second)
	def(&c.ConnectTimeout, 2*time.Second)
	def(&c.ReadTimeout, 5*time.Second)
	def(&c.HealthInterval, time.Second)
	def(&c.IdleTimeout, 5*time.Minute)
	c.Hold = max(c.Hold, 0)
	if c.URL == "" {
		c.URL = "redis://127.0.0.1:6379/0"
	}
	if c.Driver == "" {
		c.Driver = DriverShared
	}
	if c.Links == 0 {
		c.Links = 1
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 64 << 20
	}
	if c.MaxDedicated == 0 {
		c.MaxDedicated = 5000
	}
	if c.MaxIdle == 0 {
		c.MaxIdle = 32
	}
	return c
}

// check reports the first field that can't be worked with.
func (c Config) check() error {
	switch {
	case c.Driver != DriverShared && c.Driver != DriverGoRedis:
		return fmt.Errorf("upstream driver %q: want %s or %s", c.Driver, DriverShared, DriverGoRedis)
	case c.Links < 0, c.MaxInFlight < 0, c.MaxDedicated < 0, c.MaxIdle < 0:
		return errors.New("upstream: numbers of links, connections and bytes can't be negative")
	case c.ConnectTimeout < 0, c.ReadTimeout < 0, c.HealthInterval < 0, c.IdleTimeout < 0:
		return errors.New("upstream: times can't be negative")
	}
	return nil
}

// options turns c, which has its defaults, into go-redis options that every client of ours starts from.
func (c Config) options() (*redis.Options, error) {
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, urlError(c.URL, err)
	}
	if err := c.TLS.apply(o.TLSConfig); err != nil {
		return nil, err
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = c.ConnectTimeout
	}
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = c.ReadTimeout
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = o.ReadTimeout
	}
	if o.ClientName == "" {
		o.ClientName = "sessiongate"
	}
	// A client's command must never run twice because a library meant well, and nothing that the operator
	// didn't ask for should appear on the wire.
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.PipelinePoolSize = -1
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

// urlError says what is wrong with a URL. Parsers quote the part that they stumble over, and with an unescaped
// character in a password that is a part of the password: with credentials in the URL nothing is quoted.
func urlError(rawURL string, err error) error {
	if strings.Contains(rawURL, "@") {
		return errors.New("upstream url can't be parsed: want redis://user:password@host:port/db; " +
			"write any of @ : / ? # % in user or password as %40 %3A %2F %3F %23 %25")
	}
	return fmt.Errorf("upstream url: %w", err)
}

// apply adds t to conf, which is nil when the URL asks for no TLS.
func (t TLS) apply(conf *tls.Config) error {
	if t == (TLS{}) {
		return nil
	}
	if conf == nil {
		return errors.New("upstream tls: options are given but the url asks for no TLS; write rediss://")
	}
	if t.ServerName != "" {
		conf.ServerName = t.ServerName
	}
	if t.Insecure {
		conf.InsecureSkipVerify = true
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return fmt.Errorf("upstream tls: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("upstream tls: no certificate in %s", t.CAFile)
		}
	}
	if t.CertFile != "" || t.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return fmt.Errorf("upstream tls: certificate and key: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return nil
}
