// Package config turns a YAML file, the environment and flags into a Config, or into everything that is wrong
// with them: each error names its setting and the file, line and column where it was written.
//
//	cfg, err := config.Load(config.Flags{File: "sessiongate.yaml"}, os.Environ(), os.ReadFile)
//
// It is pure: it opens nothing but the files that hold the configuration and its secrets, through the function it is
// given. It knows neither RESP nor Redis; what a rule means is policy's.
package config

import (
	"reflect"
	"time"

	"sessiongate/policy"
)

// Config is everything that can be set. The yaml tags are the names in the file.
type Config struct {
	Listen   []Listener `yaml:"listen"`
	TLS      TLS        `yaml:"tls"` // for the tls:// listeners
	Upstream Upstream   `yaml:"upstream,short=url"`
	Limits   Limits     `yaml:"limits"`

	// The short form, for a single tenant: what clients have to AUTH with, if anything, and their namespace and rules.
	Credentials   `yaml:",inline"`
	Rate          Rate `yaml:"rate,short=commands"`
	policy.Config `yaml:",inline"`

	Tenants []Tenant `yaml:"tenants"` // instead of the short form

	Commands Commands `yaml:"commands"`

	ClusterFacade   bool   `yaml:"cluster_facade"`   // clients see a Redis Cluster of one node
	ClusterAnnounce string `yaml:"cluster_announce"` // host:port of that node; "": where the client has connected to

	Admin   Admin   `yaml:"admin"`
	Metrics bool    `yaml:"metrics"` // count by tenant and command, and measure how long commands take
	SlowLog SlowLog `yaml:"slow_log,short=threshold"`
	Tracing Tracing `yaml:"tracing"`

	Log     Log      `yaml:"log"`
	Threads int      `yaml:"threads"` // at once in Go code; 0: the program chooses
	Drain   Duration `yaml:"drain"`   // how long clients may take to finish at the end

	ReusePort bool `yaml:"reuse_port"` // a second process may listen on the same TCP addresses
}

// TLS is what the tls:// listeners show, and whom they let in.
type TLS struct {
	Cert              string `yaml:"cert"`                // PEM file: our certificate and those above it
	Key               string `yaml:"key"`                 // PEM file: its key
	ClientCA          string `yaml:"client_ca"`           // PEM file: authorities whose client certificates count
	RequireClientCert bool   `yaml:"require_client_cert"` // a client without one is turned away
	MinVersion        string `yaml:"min_version"`         // "1.2" or "1.3"
}

// Memory is the upstream URL of the store in this process, for trying things out.
const Memory = "memory://"

// Upstream is the Redis behind.
type Upstream struct {
	URL            URL         `yaml:"url"` // redis://, rediss://, unix://, memory://, redis-sentinel:// or rediss-sentinel://
	User           string      `yaml:"user"`
	Password       Secret      `yaml:"password"`
	PasswordFile   string      `yaml:"password_file"`
	Driver         string      `yaml:"driver"`          // "shared" or "go-redis"
	ACL            string      `yaml:"acl"`             // of the users that keep scripts in their namespaces: "manage", "verify" or "off"
	Links          int         `yaml:"links"`           // shared connections per RESP version and database
	Hold           Duration    `yaml:"hold"`            // how long a command waits for a lost upstream to come back
	ConnectTimeout Duration    `yaml:"connect_timeout"` // for dialing, TLS and AUTH together
	ReadTimeout    Duration    `yaml:"read_timeout"`    // how long a reply may take
	HealthInterval Duration    `yaml:"health_interval"` // between health checks, and between PINGs on idle links
	IdleTimeout    Duration    `yaml:"idle_timeout"`    // after which connections that nobody uses are closed
	MaxInFlight    policy.Size `yaml:"max_in_flight"`   // requests whose replies are awaited, on shared connections
	MaxCommands    int         `yaml:"max_commands"`    // commands whose replies are awaited, on shared connections
	MaxDedicated   int         `yaml:"max_dedicated"`   // connections of one client each
	MaxIdle        int         `yaml:"max_idle"`        // of those kept for the next client
	MaxConnects    int         `yaml:"max_connects"`    // connections made at once
	Breaker        int         `yaml:"breaker"`         // connects or replies that fail in a row, until only one probe tries on; 0: never
	TLS            UpstreamTLS `yaml:"tls"`             // for rediss:// URLs
	Sentinel       Sentinel    `yaml:"sentinel"`        // for redis-sentinel:// URLs
}

// Sentinel is how to talk to the sentinels, whose users and passwords are others than the Redis's.
type Sentinel struct {
	User         string `yaml:"user"`
	Password     Secret `yaml:"password"`
	PasswordFile string `yaml:"password_file"`
	TLS          bool   `yaml:"tls"` // where the URL is rediss-sentinel://
}

// UpstreamTLS is how to check the upstream's certificate, and what to show it.
type UpstreamTLS struct {
	CA         string `yaml:"ca"`   // PEM file; "": the system's authorities
	Cert       string `yaml:"cert"` // PEM file
	Key        string `yaml:"key"`  // PEM file
	ServerName string `yaml:"server_name"`
	Insecure   bool   `yaml:"insecure"`    // check nothing
	MinVersion string `yaml:"min_version"` // "1.2" or "1.3"
}

// Limits keep one client from harming the others.
type Limits struct {
	Clients    int         `yaml:"clients"`     // connected at once
	AcceptRate int         `yaml:"accept_rate"` // new ones per second; 0: any number
	Args       int         `yaml:"args"`        // of one command
	Bulk       policy.Size `yaml:"bulk"`        // one argument
	Request    policy.Size `yaml:"request"`     // one command
	Output     policy.Size `yaml:"output"`      // all replies to commands that came together
	Idle       Duration    `yaml:"idle"`        // without a word; 0: for ever
	Login      Duration    `yaml:"login"`       // until AUTH, where that is needed
	Write      Duration    `yaml:"write"`       // without taking a reply
	KeepAlive  Duration    `yaml:"keepalive"`   // between TCP probes; 0: none
}

// Tenant is one set of clients, told from the others by what they AUTH with, by the listener that they come to, or by their
// certificate.
type Tenant struct {
	Name          string `yaml:"name"`
	User          string `yaml:"user"` // "" is Redis's default user
	Credentials   `yaml:",inline"`
	Listen        []Listener `yaml:"listen"`             // for its clients alone
	Cert          []string   `yaml:"cert"`               // its clients' certificates: CN=, a whole subject, dns:, uri:, email:
	Upstream      *Upstream  `yaml:"upstream,short=url"` // nil: the one of all
	DB            Database   `yaml:"db"`                 // where its clients begin
	Clients       int        `yaml:"clients"`            // connected at once; 0: any number
	Rate          Rate       `yaml:"rate,short=commands"`
	policy.Config `yaml:",inline"`
}

// Credentials are what a tenant's clients AUTH with: any of the passwords will do, each in clear, as sha256:<hex>, or as an
// argon2id hash.
type Credentials struct {
	Password     Secret   `yaml:"password"`
	PasswordFile string   `yaml:"password_file"` // holds one a line
	Passwords    []Secret `yaml:"passwords"`
	FromFile     []Secret `yaml:"-"` // what PasswordFile holds
}

// All returns every password; none: there is no need of AUTH.
func (c Credentials) All() []Secret {
	var all []Secret
	if c.Password != "" {
		all = append(all, c.Password)
	}
	return append(append(all, c.Passwords...), c.FromFile...)
}

// Rate limits the commands of a tenant.
type Rate struct {
	Commands int `yaml:"commands"` // a second; 0: any number
	Burst    int `yaml:"burst"`    // at once, after a silence; 0: as many as Commands
}

// Commands are those that Sessiongate doesn't know by itself, and which rules and namespaces would else refuse.
type Commands struct {
	Learn  bool            `yaml:"learn"`  // take the upstream's word for where their keys are
	Custom []CustomCommand `yaml:"custom"` // take the operator's
}

// CustomCommand is one of them.
type CustomCommand struct {
	Name   string   `yaml:"name"`
	Keys   KeyRange `yaml:"keys"`   // where its keys stand
	Writes bool     `yaml:"writes"` // it may leave them in any state
	Arity  int      `yaml:"arity"`  // as COMMAND INFO gives it; 0: at least up to the first key
}

// Log says what to log and how.
type Log struct {
	Level  string `yaml:"level"`  // "debug", "info", "warn" or "error"
	Format string `yaml:"format"` // "json", "console", or "auto": console on a terminal

	// How keys are shown, whose ids would let readers be somebody else: "shortened", to what comes before an id and a hash, or "hashed".
	Keys      string `yaml:"keys"`
	KeySecret Secret `yaml:"key_secret"` // of that hash; "": another at each start
	Audit     string `yaml:"audit"`      // refusals, logins, reloads and what operators do, as JSON lines: off, log, or the path of a file
}

// Default returns what is in force where nothing else is said. It has no upstream and no rules.
func Default() Config {
	return Config{
		Listen:   []Listener{{Network: "tcp", Address: "127.0.0.1:6380"}},
		TLS:      TLS{MinVersion: "1.2"},
		Upstream: defaultUpstream,
		Limits: Limits{
			Clients:   10000,
			Args:      1 << 20,
			Bulk:      512 << 20,
			Request:   1 << 30,
			Output:    1 << 30,
			Login:     Duration(time.Minute),
			Write:     Duration(time.Minute),
			KeepAlive: Duration(5 * time.Minute),
		},
		Metrics: true,
		SlowLog: SlowLog{Threshold: Duration(10 * time.Millisecond), Length: 128, Rate: 100},
		Log:     Log{Level: "info", Format: "auto", Keys: "shortened", Audit: AuditOff},
		Drain:   Duration(30 * time.Second),
	}
}

// defaultUpstream is what an upstream is where nothing is said but its address.
var defaultUpstream = Upstream{
	Driver:         "shared",
	ACL:            "manage",
	Links:          1,
	Hold:           Duration(5 * time.Second),
	ConnectTimeout: Duration(5 * time.Second),
	ReadTimeout:    Duration(5 * time.Second),
	HealthInterval: Duration(time.Second),
	IdleTimeout:    Duration(5 * time.Minute),
	MaxInFlight:    64 << 20,
	MaxCommands:    1_000_000,
	MaxDedicated:   5000,
	MaxIdle:        32,
	MaxConnects:    32,
	Breaker:        3,
	TLS:            UpstreamTLS{MinVersion: "1.2"},
	Sentinel:       Sentinel{TLS: true},
}

// fill is for an upstream that is read where there was none.
func (u *Upstream) fill() { *u = defaultUpstream }

// Flags are the settings that the command line may give; empty ones were not given.
type Flags struct {
	File     string // --config
	Listen   string // --listen, with commas
	Upstream string // --upstream
	LogLevel string // --log-level
}

// Load builds the Config: defaults, then the file, then the environment, then flags, the later ones winning.
// readFile is os.ReadFile or a stand-in. The error joins one *Error for each thing that is wrong.
func Load(flags Flags, environ []string, readFile func(string) ([]byte, error)) (Config, error) {
	c, _, err := Read(flags, environ, readFile)
	return c, err
}

// Read is Load, and tells besides where each setting was written.
func Read(flags Flags, environ []string, readFile func(string) ([]byte, error)) (Config, Places, error) {
	c := Default()
	l := &ledger{origins: map[string]Origin{}}
	file := l.file(flags, environ, readFile, &c)
	l.environment(environ, &c)
	l.flags(flags, &c)
	if file == "" && !l.wrote("upstream.url") {
		c.tryOut(l)
	}
	l.unread = len(l.problems)
	l.check(&c)
	l.secrets(&c, readFile)
	l.credentials(&c) // only now are the passwords known
	return c, Places{l}, l.err()
}

// file reads the configuration file, if one is named, and returns its name.
func (l *ledger) file(flags Flags, environ []string, readFile func(string) ([]byte, error), c *Config) string {
	name := flags.File
	if name == "" {
		name, _ = lookup(environ, envFile)
	}
	if name == "" {
		return ""
	}
	l.origins[""] = Origin{Source: name, rank: fromFile}
	text, err := readFile(name)
	if err != nil {
		l.report("", "can't be read: "+reason(err), "")
		return name
	}
	d := document{ledger: l, source: name, rank: fromFile}
	d.decode(text, "", reflect.ValueOf(c).Elem(), field{})
	l.origins[""] = Origin{Source: name, rank: fromFile}
	return name
}

func (l *ledger) flags(flags Flags, c *Config) {
	given := map[string]struct{ flag, text string }{
		"listen":    {"--listen", flags.Listen},
		"upstream":  {"--upstream", flags.Upstream},
		"log.level": {"--log-level", flags.LogLevel},
	}
	for _, s := range settings(reflect.ValueOf(c).Elem(), "") {
		if g := given[s.path]; g.text != "" {
			l.set(s, g.text, Origin{Source: g.flag, rank: fromFlag})
		}
	}
}

// tryOut makes a Config that needs nothing else to run: a store in memory and, unless rules are given, one that lets
// sessions expire.
func (c *Config) tryOut(l *ledger) {
	c.Upstream.URL = Memory
	if !l.wrote("rules") && !l.wrote("tenants") {
		c.Rules = []policy.RuleConfig{{Expiry: &policy.ExpiryConfig{Default: policy.Duration(30 * time.Minute)}}}
	}
}

// Everyone returns the tenants, the short form as one named "default".
func (c Config) Everyone() []Tenant {
	if len(c.Tenants) > 0 {
		return c.Tenants
	}
	return []Tenant{{Name: "default", Credentials: c.Credentials, Rate: c.Rate, Config: c.Config}}
}
