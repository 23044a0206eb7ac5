package config_test

import (
	"testing"

	"sessiongate/config"
)

func TestPlaces_Warnings(t *testing.T) {
	const text = redis + `limits: {bulk: 1KiB}
tenants:
  - name: a
    password: x
    namespace: "a:"
    rules:
      - {keys: ["b:*"], expiry: {}}
      - keys: ["c:*", "b:1*"]
        size: {value: 64KiB}
  - name: b
    password: ""
    namespace: "b:"
    rules:
      - key_entropy: 64
  - name: c
    password: z
    namespace: "c:"
    rules:
      - {keys: ["x"], reads: {from: master}}
      - {reads: {from: replica}}
  - name: d
    password: w
    namespace: "d:"
    upstream: redis-cluster://n.example:7000
    rules:
      - {reads: {from: nearest}}
`
	want := []string{
		`sessiongate.yaml:9:23: warning: tenants[0].rules[1].keys[1]: "b:1*" never matches: rules[0] ("b:*") comes first and takes these keys; remove the pattern, or put this rule before that one`,
		`sessiongate.yaml:10:23: warning: tenants[0].rules[1].size.value: 64KiB is above limits.bulk, 1KiB: a longer argument ends the connection instead; lower it or raise limits.bulk`,
		`sessiongate.yaml:15:22: warning: tenants[1].rules[0].key_entropy: goes by whole names, so that what they all begin with counts as if it were drawn by lot; say where the id stands, as in keys: ["sess:*"]`,
		`sessiongate.yaml:21:24: warning: tenants[2].rules[1].reads.from: does nothing with this upstream: replicas are known in front of a Redis Cluster only; remove it`,
	}
	c, places, err := config.Read(config.Flags{File: "sessiongate.yaml"}, nil, files{"sessiongate.yaml": text}.read)
	if err != nil {
		t.Fatal(err)
	}
	got := places.Warnings(c)
	if len(got) != len(want) {
		t.Fatalf("warnings are %q", got)
	}
	for i, w := range got {
		if w.String() != want[i] {
			t.Errorf("got  %s\nwant %s", w, want[i])
		}
	}
}

// Where nothing was written there is no place to point at.
func TestPlaces_At(t *testing.T) {
	_, places, err := config.Read(config.Flags{}, []string{"SESSIONGATE_RULES=[{key_entropy: 64}]"}, files{}.read)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"rules[0].key_entropy": "SESSIONGATE_RULES:1:16", "rules[0].expiry": "SESSIONGATE_RULES:1:2", "limits.clients": ""} {
		if got := places.At(path).String(); got != want {
			t.Errorf("%s was written at %q, want %q", path, got, want)
		}
	}
}
