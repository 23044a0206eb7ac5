# TAP for the programs of this directory, and what they have in common. It is sourced.

set -u
unset REDISCLI_AUTH
[[ -z $REDIS_PASSWORD ]] || export REDISCLI_AUTH=$REDIS_PASSWORD
checks=0 failures=0
patience=20 # seconds to wait for what ought to come at once

# cli is redis-cli, connected as this program connects. The array protocol holds flags such as -3.
protocol=()
cli() { redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" "${protocol[@]}" "$@"; }

# check NAME runs the function check_NAME, with "_" for "-", in a shell of its own: it ends that shell by fail.
check() {
  local why
  checks=$((checks + 1))
  if why=$("check_${1//-/_}" 2>&1); then
    echo "ok - $1"
  else
    failures=$((failures + 1))
    echo "not ok - $1: ${why//$'\n'/ \\n }"
  fi
}

# differs NAME PATTERN WHY runs a check that is known not to pass through Sessiongate: its output has to be like the pattern.
differs() {
  local why
  checks=$((checks + 1))
  if why=$(patience=5; "check_${1//-/_}" 2>&1); then
    echo "ok - $1"
  elif [[ $why == $2 ]]; then
    echo "not ok - $1: $3 # TODO"
  else
    failures=$((failures + 1))
    echo "not ok - $1: ${why//$'\n'/ \\n }"
  fi
}

done_checking() {
  echo "1..$checks"
  exit $((failures > 0))
}

fail() {
  echo "$*"
  exit 1
}

# want GOT WANT
want() { [[ $1 == "$2" ]] || fail "got $(printf %q "$1"), want $(printf %q "$2")"; }

# like GOT PATTERN
like() { [[ $1 == $2 ]] || fail "got $(printf %q "$1"), want $(printf %q "$2")"; }

# ttl_near KEY SECONDS: the rules may have made something else of it, but never none.
ttl_near() {
  local ttl
  ttl=$(cli ttl "$1")
  if [[ $MODE == rules ]]; then
    ((ttl > 0 && ttl <= 43200)) || fail "the TTL of $1 is $ttl"
  else
    ((ttl <= $2 && ttl >= $2 - 20)) || fail "the TTL of $1 is $ttl, want $2"
  fi
}
