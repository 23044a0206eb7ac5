package proxy

import (
	"fmt"
	"strconv"
	"strings"

	"sessiongate/policy"
)

// This is the version of Redis that brought what any rule on expiry needs: EXPIRE with NX, LT and GT.
const boundingMajor, boundingMinor = 7, 0

// judged is what a version of the upstream's means for a tenant.
type judged struct{ version, unmet string }

// unmet says why the upstream can't enforce the tenant's rules, as far as its version tells; empty: it can, or has not been seen yet.
// Then nothing is sent there: what the rules can't bound would stay for ever.
func (t *Tenant) unmet() string {
	if len(t.demands) == 0 {
		return ""
	}
	version := t.Pool.Version()
	if j := t.judged.Load(); j != nil && j.version == version {
		return j.unmet
	}
	j := &judged{version, tooOld(version, t.demands)}
	t.judged.Store(j)
	return j.unmet
}

// tooOld says which of the demands that version can't meet, if any. What is no version passes.
func tooOld(version string, demands map[policy.Demand]string) string {
	major, minor, ok := parseVersion(version)
	rule, bounds := demands[policy.Bounding]
	if !ok || !bounds || major > boundingMajor || major == boundingMajor && minor >= boundingMinor {
		return ""
	}
	return fmt.Sprintf("the upstream has version %s, and rule %q needs EXPIRE with NX, LT and GT, which version %d.%d brought",
		version, rule, boundingMajor, boundingMinor)
}

func parseVersion(version string) (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err1 := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(second)
	return major, minor, err1 == nil && err2 == nil
}
