#!/usr/bin/env bash
# Installs the package on this machine, runs the service by the line in its unit, uses it, and purges it. As root.
set -euo pipefail
deb=$1
redis_port=31997 port=6380 gate= redis=
fail() { echo "FAIL: $*" >&2; exit 1; }
done_with() {
	[ -z "$gate" ] || kill "$gate" 2>/dev/null || true
	[ -z "$redis" ] || kill "$redis" 2>/dev/null || true
	dpkg --purge sessiongate >/dev/null 2>&1 || true
}
trap done_with EXIT
until_ok() { for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; fail "$*"; }

dpkg -i "$deb"
for file in /usr/bin/sessiongate /lib/systemd/system/sessiongate.service /etc/sessiongate/sessiongate.yaml \
	/usr/share/man/man1/sessiongate.1.gz /usr/share/bash-completion/completions/sessiongate; do
	[ -e "$file" ] || fail "$file is not there"
done
[ "$(stat -c '%U:%G %a' /etc/sessiongate/sessiongate.yaml)" = "root:sessiongate 640" ] || fail "the configuration can be read by others"
getent passwd sessiongate >/dev/null || fail "there is no user sessiongate"
man -w sessiongate >/dev/null 2>&1 || [ ! -x /usr/bin/man ] || fail "no manual page"

redis-server --port $redis_port --bind 127.0.0.1 --save '' --daemonize no >/dev/null &
redis=$!
sed -i "s|^upstream: .*|upstream: redis://:secret@127.0.0.1:$redis_port/0|" /etc/sessiongate/sessiongate.yaml
until_ok redis-cli -p $redis_port config set requirepass secret
read -r -a line < <(sed -n 's/^ExecStart=//p' /lib/systemd/system/sessiongate.service)
echo "starting: ${line[*]}"
setpriv --reuid sessiongate --regid sessiongate --clear-groups --no-new-privs "${line[@]}" &
gate=$!
until_ok redis-cli -p $port ping
[ "$(redis-cli -p $port set sess:1 v)" = OK ] || fail "SET"
ttl=$(redis-cli -p $redis_port -a secret --no-auth-warning ttl sess:1)
[ "$ttl" -gt 1700 ] && [ "$ttl" -le 1800 ] || fail "the session's expiry is $ttl"
kill "$gate" && wait "$gate" || fail "the service ended with $?"
gate=

dpkg -i "$deb" # an upgrade keeps the configuration
grep -q $redis_port /etc/sessiongate/sessiongate.yaml || fail "the upgrade has changed the configuration"
dpkg -r sessiongate
[ -e /etc/sessiongate/sessiongate.yaml ] || fail "removing took the configuration"
said=$(dpkg --purge sessiongate 2>&1)
echo "$said"
grep -q "127.0.0.1:$redis_port" <<<"$said" || fail "the purge does not say where the sessions are"
! grep -q secret <<<"$said" || fail "the purge tells a password"
for left in /usr/bin/sessiongate /etc/sessiongate /var/lib/sessiongate /lib/systemd/system/sessiongate.service; do
	[ ! -e "$left" ] || fail "$left is left"
done
! getent passwd sessiongate >/dev/null || fail "the user is left"
[ "$(redis-cli -p $redis_port -a secret --no-auth-warning get sess:1)" = v ] || fail "the session is gone"
echo "the package installs, runs and goes"
