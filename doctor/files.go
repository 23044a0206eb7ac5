package doctor

import (
	"fmt"
	"os"
	"regexp"

	"sessiongate/config"
)

// plain is a line of a configuration with a secret that is no hash: a password, a token, or one within a URL.
var plain = regexp.MustCompile(`(?m)(^|[\s{,-])(password|token|key_secret):\s*["']?[^\s"'{}#,]|://[^/\s"'@]*:[^/\s"'@]+@`)

// hashed is one with a hash.
var hashed = regexp.MustCompile(`(?m)password:\s*["']?(sha256:|\$argon2id\$)\S*`)

// files looks whether secrets lie open.
func (r *Report) files(c Config) {
	open := 0
	closed := 0
	for _, each := range secretFiles(c) {
		info, err := os.Stat(each.name)
		switch {
		case err != nil:
			r.add(Fail, "files", each.name, fmt.Sprintf("%s can't be read: %v", each.what, err), "")
		case info.Mode().Perm()&0o004 != 0:
			open++
			r.add(Warn, "files", each.name, fmt.Sprintf("%s can be read by everybody on this machine (mode %04o)", each.what, info.Mode().Perm()), "chmod o= "+each.name)
		default:
			closed++
		}
	}
	if open == 0 && closed > 0 {
		r.add(OK, "files", "secrets", fmt.Sprintf("%d with secrets, none of which everybody can read", closed), "")
	}
}

// secretFile is a file that not everybody should read.
type secretFile struct{ name, what string }

func secretFiles(c Config) (all []secretFile) {
	seen := map[string]bool{"": true}
	add := func(name, what string) {
		if !seen[name] {
			seen[name] = true
			all = append(all, secretFile{name, what})
		}
	}
	s := c.Settings
	if text, err := os.ReadFile(c.File); err == nil && plain.Match(hashed.ReplaceAll(text, nil)) {
		add(c.File, "the configuration, which holds a password or token,")
	}
	upstream := func(u config.Upstream) {
		add(u.PasswordFile, "an upstream's password")
		add(u.Sentinel.PasswordFile, "the sentinels' password")
		add(u.TLS.Key, "the key shown to an upstream")
	}
	upstream(s.Upstream)
	for _, t := range s.Everyone() {
		add(t.PasswordFile, "passwords of tenant "+t.Name)
		if t.Upstream != nil {
			upstream(*t.Upstream)
		}
	}
	add(s.Admin.TokenFile, "the admin token")
	add(s.Admin.TLS.Key, "the admin address's key")
	add(s.TLS.Key, "the key of the tls:// addresses")
	return all
}

// process compares the limits of this process with what the settings promise.
func (r *Report) process(c Config) {
	s := c.Settings
	need := s.Limits.Clients + s.Upstream.MaxDedicated + 2*s.Upstream.Links + 64
	if c.OpenFiles == 0 {
		return
	}
	found := fmt.Sprintf("%d may be open here, and %d clients with their connections to Redis can need %d", c.OpenFiles, s.Limits.Clients, need)
	if c.OpenFiles < uint64(need) {
		r.add(Warn, "open files", "this process", found, fmt.Sprintf("LimitNOFILE=%d in the systemd unit (ulimit -n), or lower limits.clients or upstream.max_dedicated", need))
		return
	}
	r.add(OK, "open files", "this process", found, "")
}
