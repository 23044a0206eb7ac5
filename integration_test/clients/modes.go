package main

import (
	"fmt"
	"time"
)

// mode is how a program reaches Redis.
type mode struct {
	name     string
	gate     bool   // there is a Sessiongate in between
	settings string // of the Sessiongate besides addresses, in YAML
	password string
	rules    bool // upstream is looked into
}

// What the rules of mode "rules" promise. README.md tells them to those who write programs.
const (
	namespace  = "app:"
	password   = "matrix-password"
	idle       = 30 * time.Minute // no expiry is longer, whatever a command says
	maxLockTTL = 5 * time.Minute
)

// lockKeys are the patterns of the rule for locks.
var lockKeys = []string{"*_LOCK", "*:lock"}

var modes = []mode{
	{name: "transparent", gate: true},
	{name: "rules", gate: true, password: password, rules: true, settings: `password: ` + password + `
namespace: "` + namespace + `"
rules:
  - {name: locks, keys: ["` + lockKeys[0] + `", "` + lockKeys[1] + `"], expiry: {max: 5m}}
  - {name: rest, expiry: {default: 30m, max: 12h, idle: 30m}}
`},
}

// direct shows whether a program is right by itself. Programs take it for transparent.
var direct = mode{name: "direct"}

func modesNamed(name string) ([]mode, error) {
	if name == "" {
		return modes, nil
	}
	for _, m := range append(modes, direct) {
		if m.name == name {
			return []mode{m}, nil
		}
	}
	return nil, fmt.Errorf("-mode %s: there are transparent, rules and direct", name)
}

// told is what programs find in MODE.
func (m mode) told() string {
	if m.rules {
		return m.name
	}
	return "transparent"
}
