package main

import (
	"context"
	"fmt"
	"strings"
)

// Sessiongates that show how cost grows with what there is in the configuration.
const (
	rules1      = "sessiongate-1-rule"
	rules10     = "sessiongate-10-rules"
	rules1000   = "sessiongate-1000-rules"
	tenants1    = "sessiongate-1-tenant"
	tenants10   = "sessiongate-10-tenants"
	tenants1000 = "sessiongate-1000-tenants"

	someExpiry = "expiry: {default: 30m, max: 12h}"
)

// gate is a Sessiongate in a namespace of its own, with the same rule for so many classes of keys, of which that of the keys that are asked
// for is the last. An empty rule: there is none.
func gate(name string, classes int, rule string) func(context.Context, proxies) (*process, error) {
	var c strings.Builder
	fmt.Fprintf(&c, "namespace: %q\n", name+":")
	if rule != "" {
		c.WriteString("rules:\n")
		for i := range classes {
			keys := fmt.Sprintf("class%d:*", i)
			if i == classes-1 {
				keys = "key:*"
			}
			fmt.Fprintf(&c, "  - {name: rule%d, keys: [%q], %s}\n", i, keys, rule)
		}
	}
	return func(ctx context.Context, p proxies) (*process, error) {
		return p.serve(ctx, name, "shared", c.String())
	}
}

// manyTenants is a Sessiongate with so many tenants, each with a namespace and a rule.
func manyTenants(name string, tenants int) func(context.Context, proxies) (*process, error) {
	var c strings.Builder
	c.WriteString("tenants:\n")
	for i := range tenants {
		fmt.Fprintf(&c, "  - {name: %[1]s, user: %[1]s, password: secret-of-%[1]s, namespace: %[2]q, rules: [{%s}]}\n",
			tenant(i), fmt.Sprintf("%s:%s:", name, tenant(i)), someExpiry)
	}
	return func(ctx context.Context, p proxies) (*process, error) {
		return p.serve(ctx, name, "shared", c.String())
	}
}

func tenant(i int) string { return fmt.Sprintf("tenant%d", i) }
