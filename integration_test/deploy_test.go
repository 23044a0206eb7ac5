package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// What is shipped as a configuration is one, but for the secrets that only its place has.
func TestDeploy_Configurations(t *testing.T) {
	t.Parallel()
	check := func(from, text string) {
		t.Helper()
		for _, secret := range []string{"password", "admin-token"} {
			text = strings.ReplaceAll(text, "/run/secrets/sessiongate/"+secret, writeFile(t, secret, "0123456789abcdef"))
		}
		if out, code := gatectl(t, "check", "--strict", writeFile(t, "sessiongate.yaml", text)); code != 0 {
			t.Errorf("%s: %s", from, out)
		}
	}
	text, err := os.ReadFile("../deploy/debian/sessiongate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	check("deploy/debian", string(text))
	manifests, err := filepath.Glob("../deploy/kubernetes/*.yaml")
	if err != nil || len(manifests) != 2 {
		t.Fatal(manifests, err)
	}
	for _, name := range manifests {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for part := range strings.SplitSeq(string(text), "\n---\n") {
			var object struct {
				Data map[string]string `yaml:"data"`
			}
			if err := yaml.Unmarshal([]byte(part), &object); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if conf, ok := object.Data["sessiongate.yaml"]; ok {
				found = true
				check(name, conf)
			}
		}
		if !found {
			t.Errorf("%s has no configuration", name)
		}
	}
}

// The manual page and the completions know every command.
func TestDeploy_Manual(t *testing.T) {
	t.Parallel()
	page, code := gatectl(t, "man")
	for _, want := range []string{".TH SESSIONGATE 1 ", ".SS serve", ".SS sessions revoke", ".SS top", "\\-\\-token\\-file", "SIGUSR2"} {
		if code != 0 || !strings.Contains(page, want) {
			t.Errorf("the manual page lacks %q", want)
		}
	}
	if out, code := gatectl(t, "completion", "bash"); code != 0 || !strings.Contains(out, "complete -o default -F __start_sessiongate sessiongate") {
		t.Errorf("the completion for bash ends with %d: %s", code, tail(out, 300))
	}
}
