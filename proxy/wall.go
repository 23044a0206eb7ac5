package proxy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"go.uber.org/zap"

	"sessiongate/upstream"
)

// Under a namespace a script is the one thing whose keys the proxy can't put there. So Redis itself keeps it in: scripts run as
// an ACL user of the upstream's that reaches no name outside of the namespace and no command that looks at all names. Every
// connection made for them asks first whether that is so.

// wallCommands are what that user may call: commands on keys, by the categories that only Redis's own types have; what runs
// scripts; and what transactions need that scripts may be part of.
const wallCommands = "-@all +@string +@hash +@list +@set +@sortedset +@stream +@bitmap +@hyperloglog +@geo +@keyspace +@transaction " +
	"-@dangerous -scan -randomkey -dbsize -georadius -georadiusbymember +sort +sort_ro +restore +memory|usage " +
	"+eval +evalsha +eval_ro +evalsha_ro +fcall +fcall_ro +script|load +script|exists +publish +spublish " +
	"+ping +echo +time +select +command +client|info +client|id +client|caching +client|setname +client|getname"

// wallUser is the name of a namespace's user. It has nothing of the tenant's name: what it may reach hangs on the namespace alone.
func wallUser(namespace string) string { return "sessiongate:" + namespace }

// wallPassword derives the user's password from what only proxies and operators know, so that all proxies before one upstream
// come to the same without having to tell each other.
func wallPassword(namespace, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(wallUser(namespace)))
	return hex.EncodeToString(mac.Sum(nil))
}

// WallRules are the arguments of ACL SETUSER that make the user for scripts in the namespace: its name and its rules. secret is
// the password with which the proxy itself logs in to the upstream; of it and of the user's password they show nothing.
func WallRules(namespace, secret string) []string {
	return wallRules(namespace, wallPassword(namespace, secret))
}

// wallRules are for a user that takes any of the passwords.
func wallRules(namespace string, passwords ...string) []string {
	pattern := string(appendEscaped(nil, []byte(namespace))) + "*"
	rules := []string{wallUser(namespace), "reset", "on"}
	for _, password := range passwords {
		sum := sha256.Sum256([]byte(password))
		rules = append(rules, "#"+hex.EncodeToString(sum[:]))
	}
	return append(append(rules, "~"+pattern, "&"+pattern), strings.Fields(wallCommands)...)
}

// foreign is a name outside of every namespace: those have no control characters.
const foreign = "\x01"

// wallCheck is a script that asks Redis what the user that it runs as may do, and does none of it.
const wallCheck = `for _, try in ipairs({{'GET', ARGV[1]}, {'SET', ARGV[1], ''}, {'KEYS', '*'}, {'SCAN', '0'}, {'PUBLISH', ARGV[1], ''},
  {'GEORADIUS', ARGV[2], '0', '0', '1', 'm', 'STORE', ARGV[2]}}) do
  if redis.acl_check_cmd(unpack(try)) then return redis.error_reply('ERR it is not kept from ' .. try[1] .. ' outside of the namespace') end
end
return redis.status_reply('OK')`

// NewWall returns the role in which scripts run in the namespace. With create the user is made, or made anew, by whoever
// connects; else it has to be there.
func NewWall(namespace, secret string, create bool) *upstream.Role {
	wall := &upstream.Role{
		Name: "scripts in " + namespace, User: wallUser(namespace), Pass: wallPassword(namespace, secret), Patient: true,
		Verify: []string{"EVAL", wallCheck, "0", foreign, namespace + "own"},
	}
	if create {
		wall.Create = WallRules(namespace, secret)
	}
	return wall
}

// RenewWalls gives the role of each tenant's scripts the password that follows from the secret which the proxy logs in with now. The
// user takes the password before as well, from transactions that are under way.
func RenewWalls(ctx context.Context, tenants []*Tenant, secret func(*Tenant) string, log *zap.Logger) {
	for _, t := range tenants {
		if t.Wall == nil {
			continue
		}
		namespace := string(t.Policy().Prefix())
		old, create := t.Wall.Password()
		password := wallPassword(namespace, secret(t))
		if password == old {
			continue
		}
		if len(create) > 0 {
			create = wallRules(namespace, password, old)
		}
		if err := t.Pool.RenewRole(ctx, t.Wall, password, create); err != nil {
			log.Error("scripts keep the password they had: "+why(err), zap.String("tenant", t.Name), zap.String("user", t.Wall.User))
			continue
		}
		log.Info("scripts have a new password upstream", zap.String("tenant", t.Name), zap.String("user", t.Wall.User))
	}
}

// VerifyWalls connects once in each tenant's wall and logs what is wrong with it. Nothing depends on it: each later connection is
// checked too.
func VerifyWalls(ctx context.Context, tenants []*Tenant, log *zap.Logger) {
	for _, t := range tenants {
		if t.Wall == nil {
			continue
		}
		conn, err := t.Pool.DedicatedAs(ctx, t.Wall, 2, t.start())
		if err != nil {
			log.Error("scripts are refused: "+why(err)+"; `sessiongate acl` prints what the upstream needs", zap.String("tenant", t.Name))
			continue
		}
		conn.Release()
		log.Info("scripts are kept in their namespace by the upstream", zap.String("tenant", t.Name), zap.String("user", t.Wall.User))
	}
}
