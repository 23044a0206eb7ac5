package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"sessiongate/policy"
)

// grants are the commands that Sessiongate sends by itself to meet a demand, with ? for one of the tenant's keys.
var grants = map[policy.Demand][]string{
	policy.Bounding:   {"MULTI", "EXEC", "EXPIRE ? 1 LT", "PEXPIRE ? 1 LT"},
	policy.Sliding:    {"MULTI", "EXEC", "EXPIRE ? 1", "PEXPIRE ? 1", "GETEX ?"},
	policy.Ageing:     {"MULTI", "EXEC", "EVAL x 0", "PEXPIRETIME ?", "PEXPIREAT ? 1", "PEXPIRE ? 1", "PTTL ?"},
	policy.Checking:   {"EVAL x 0", "STRLEN ?"},
	policy.Separating: {"SCAN 0", "UNLINK ?", "INFO", "PTTL ?", "SLOWLOG GET", "RANDOMKEY", "COMMAND", "CONFIG GET x"},
}

// always are those that it sends for its own sake.
var always = []string{"PING", "TIME", "CLIENT SETNAME x"}

// asked has the upstream say which of the commands from ARGV[2] on its user may not call, and calls none of them. If the user may do
// nothing at all with the key in ARGV[1], that is no name of the tenant's, and nothing is said of commands that have it.
const asked = `if not redis.acl_check_cmd then return false end
local function may(line)
  local words = {}
  for word in string.gmatch(line, '%S+') do words[#words + 1] = word end
  local known, yes = pcall(redis.acl_check_cmd, unpack(words))
  return not known or yes
end
local ours = may('GET ' .. ARGV[1]) or may('SET ' .. ARGV[1] .. ' x') or may('EXISTS ' .. ARGV[1])
local missing = {}
for i = 2, #ARGV do
  if not may(ARGV[i]) and (ours or not string.find(ARGV[i], ARGV[1], 1, true)) then missing[#missing + 1] = ARGV[i] end
end
return missing`

// fitness is what is known of a tenant's upstream at a time.
type fitness struct {
	came    uint64 // the coming of the upstream's that it is about
	run     string // and what the server calls this run of itself; empty: it doesn't say
	missing string // why rules can't be carried out; empty: they can
}

// Ready says why clients can't be served as it is configured: an upstream that is away, too old for a rule, or doesn't let us do what a
// rule needs. nil: they can.
func (s *Server) Ready() error {
	list := s.tenants.Load().all
	var all []error
	for _, p := range s.Pools() {
		if err := p.Ready(); err != nil {
			all = append(all, err)
		}
	}
	for _, t := range list {
		if up, _ := t.Pool.Health(); !up {
			continue
		}
		f := t.fitness.Load()
		switch old := t.unmet(); {
		case old != "":
			all = append(all, fmt.Errorf("tenant %s: %s", t.Name, old))
		case f == nil:
			all = append(all, fmt.Errorf("tenant %s: the upstream's permissions are not checked yet", t.Name))
		case f.missing != "":
			all = append(all, fmt.Errorf("tenant %s: %s", t.Name, f.missing))
		}
	}
	return errors.Join(all...)
}

// checkEvery is how often it is looked whether an upstream has come, or come back, and so may be another.
const checkEvery = 100 * time.Millisecond

// examine checks each upstream that comes, until ctx ends.
func (s *Server) examine(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		for _, t := range s.tenants.Load().all {
			came := t.Pool.Comings()
			if f := t.fitness.Load(); came > 0 && (f == nil || f.came != came) {
				t.examine(ctx, came, s.log)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// examine asks the upstream whether the tenant's rules can be carried out there, and logs what is in the way, with the remedy.
func (t *Tenant) examine(ctx context.Context, came uint64, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(ctx, t.Pool.ReadTimeout())
	defer cancel()
	info, _ := t.Pool.Admin().Info(ctx, "server").Result()
	_, run, _ := strings.Cut(info, "run_id:")
	run, _, _ = strings.Cut(run, "\r\n")
	if f := t.fitness.Load(); f != nil && run != "" && f.run == run { // another connection to the same
		t.fitness.Store(&fitness{came, run, f.missing})
		return
	}
	if old := t.unmet(); old != "" {
		log.Error("the tenant's commands are refused: "+old, zap.String("tenant", t.Name), zap.String("remedy", "run Redis or Valkey 7.0 or later, or take the rule out"))
		t.fitness.Store(&fitness{came: came, run: run})
		return
	}
	lack, err := t.Lack(ctx)
	if err != nil {
		if ctx.Err() == nil {
			log.Warn("the upstream's permissions can't be checked", zap.String("tenant", t.Name), zap.Error(err))
		}
		if up, _ := t.Pool.Health(); !up { // it comes back, and is asked again
			return
		}
	}
	f := &fitness{came: came, run: run}
	switch {
	case lack.Rule != "":
		f.missing = fmt.Sprintf("the upstream user %q lacks %s, which rule %q needs; remedy: %s", t.Pool.User(), lack.Vital, lack.Rule, lack.Remedy)
		log.Error("rules can't be carried out: "+f.missing, zap.String("tenant", t.Name))
	case lack.All != "":
		log.Warn("some commands will be refused by the upstream", zap.String("tenant", t.Name), zap.String("user", t.Pool.User()),
			zap.String("lacks", lack.All), zap.String("remedy", lack.Remedy))
	}
	t.fitness.Store(f)
}

// Lack is what the upstream's user may not do of what Sessiongate does by itself, each as ACL SETUSER takes it: "+expire +eval".
type Lack struct {
	Vital, Rule string // without which this rule can't be carried out; empty: they all can
	All         string // that and what some commands of clients need; empty: nothing
	Remedy      string // the command that grants it
}

// Lack asks the upstream what its user may not do for the tenant. It runs nothing of that.
func (t *Tenant) Lack(ctx context.Context) (l Lack, err error) {
	needed, wanted := t.grants()
	missing, err := t.lacks(ctx, append(slices.Clone(needed), wanted...))
	if len(missing) == 0 {
		return l, err
	}
	rules := t.forRules()
	if vital := slices.DeleteFunc(slices.Clone(missing), func(line string) bool { return rules[line] == "" }); len(vital) > 0 {
		l.Vital, l.Rule = grantOf(vital), rules[vital[0]]
	}
	l.All, l.Remedy = grantOf(missing), t.remedy(missing)
	return l, err
}

// TooOld says why the upstream's version can't enforce the tenant's rules; empty: it can, or has not been seen yet.
func (t *Tenant) TooOld() string { return t.unmet() }

// forRules are the commands without which a rule can't be carried out, each with the rule.
func (t *Tenant) forRules() map[string]string {
	all := map[string]string{}
	for _, d := range []policy.Demand{policy.Checking, policy.Ageing, policy.Sliding, policy.Bounding} {
		if rule, asks := t.demands[d]; asks {
			for _, line := range grants[d] {
				all[t.aboutKey(line)] = rule
			}
		}
	}
	return all
}

// grants are the commands that the tenant's rules need, and those that only some of its clients' commands do.
func (t *Tenant) grants() (needed, wanted []string) {
	for line := range t.forRules() {
		needed = append(needed, line)
	}
	slices.Sort(needed)
	wanted = slices.Clone(always)
	if _, asks := t.demands[policy.Separating]; asks {
		for _, line := range grants[policy.Separating] {
			wanted = append(wanted, t.aboutKey(line))
		}
	}
	if t.Wall != nil && len(t.Wall.Create) > 0 {
		wanted = append(wanted, "EVAL x 0", "ACL SETUSER x")
	}
	return needed, wanted
}

// aboutKey puts one of the tenant's keys into a command.
func (t *Tenant) aboutKey(line string) string { return strings.ReplaceAll(line, "?", t.sample()) }

// sample is a name that is the tenant's.
func (t *Tenant) sample() string { return string(t.Policy().Prefix()) + "sessiongate" }

// lacks asks which of the commands the proxy's user may not call. An answer that tells nothing is none.
func (t *Tenant) lacks(ctx context.Context, lines []string) (missing []string, err error) {
	args := []any{"EVAL", asked, 0, t.sample()}
	for _, line := range lines {
		args = append(args, line)
	}
	reply, err := t.Pool.Admin().Do(ctx, args...).Result()
	switch list, isList := reply.([]any); {
	case err != nil && strings.HasPrefix(err.Error(), "NOPERM"): // to run scripts
		return t.dryRun(ctx, lines)
	case err != nil && !errors.Is(err, redis.Nil):
		return nil, err
	case isList:
		for _, line := range list {
			missing = append(missing, fmt.Sprint(line))
		}
	}
	return missing, nil
}

// dryRun asks in the other way that there is. It takes a permission that few have.
func (t *Tenant) dryRun(ctx context.Context, lines []string) (missing []string, _ error) {
	for _, line := range lines {
		args := []any{"ACL", "DRYRUN", t.Pool.User()}
		for _, word := range strings.Fields(line) {
			args = append(args, word)
		}
		said, err := t.Pool.Admin().Do(ctx, args...).Text()
		isScript := strings.HasPrefix(line, "EVAL") // which is not permitted, as we have just seen
		if isScript || err == nil && said != "OK" {
			missing = append(missing, line)
		}
	}
	if missing == nil {
		return nil, errors.New("neither EVAL nor ACL DRYRUN is permitted")
	}
	return missing, nil
}

// grantOf is what follows ACL SETUSER user to allow the commands.
func grantOf(lines []string) string {
	var all []string
	for _, line := range lines {
		words := strings.Fields(strings.ToLower(line))
		name := words[0]
		if len(words) > 1 && slices.Contains([]string{"client", "slowlog", "config", "acl"}, name) {
			name += "|" + words[1]
		}
		if !slices.Contains(all, "+"+name) {
			all = append(all, "+"+name)
		}
	}
	return strings.Join(all, " ")
}

// remedy is the command that an operator gives.
func (t *Tenant) remedy(missing []string) string {
	return "ACL SETUSER " + t.Pool.User() + " " + grantOf(missing)
}
