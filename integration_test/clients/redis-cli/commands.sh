# redis-cli with a command, or with commands on standard input. Flags given to this script are given to it too.
. ./tap.sh
protocol=("$@")

# open starts a redis-cli that takes commands from say and whose answers hear reads, a line each.
open() {
  coproc CLI { exec redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" "${protocol[@]}" 2>/dev/null; }
  trap "kill $CLI_PID" EXIT # by itself it would not leave a subscription
}
say() { printf '%s\n' "$*" >&"${CLI[1]}"; }
hear() {
  local line
  IFS= read -r -t "$patience" line <&"${CLI[0]}" || fail "no answer to read"
  want "$line" "$1"
}

# until_heard PATTERN passes over lines until one matches.
until_heard() {
  local line
  while IFS= read -r -t "$patience" line <&"${CLI[0]}"; do
    [[ $line != $1 ]] || return 0
  done
  fail "no $1 to read"
}

check_connect() {
  want "$(cli ping)" PONG
  want "$(printf 'client setname terminal-7\nclient getname\n' | cli)" $'OK\nterminal-7'
  want "$(cli -n 2 set in-two yes)" OK
  want "$(cli -n 2 get in-two)" yes
  want "$(cli get in-two)" ""
  local auth=
  [[ -z $REDIS_PASSWORD ]] || auth=default:$REDIS_PASSWORD@
  want "$(env -u REDISCLI_AUTH redis-cli --no-auth-warning "${protocol[@]}" -u "redis://$auth$REDIS_HOST:$REDIS_PORT/2" get in-two)" yes
  if [[ -n $REDIS_PASSWORD ]]; then
    like "$(env -u REDISCLI_AUTH redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" get a 2>&1)" "NOAUTH Authentication required."*
    like "$(REDISCLI_AUTH=wrong cli get a 2>&1)" "*WRONGPASS*"
  fi
}

check_set_get() {
  want "$(cli set name value)" OK
  want "$(cli get name)" value
  want "$(cli --no-raw get name)" '"value"'
  want "$(cli --no-raw get nothing)" "(nil)"
  want "$(cli exists name)" 1
  want "$(cli type name)" string
}

check_binary() {
  local i
  for i in {0..255}; do printf "\\x$(printf %02x "$i")"; done > "$SCRATCH/bytes"
  want "$(cli -x set bytes < "$SCRATCH/bytes")" OK
  cli get bytes > "$SCRATCH/back"
  head -c 256 "$SCRATCH/back" | cmp - "$SCRATCH/bytes" || fail "other bytes came back"
  want "$(cli strlen bytes)" 256
  want "$(cli set empty "")" OK
  want "$(cli --no-raw get empty)" '""'
  want "$(cli -X VALUE set tagged VALUE EX 100 < "$SCRATCH/bytes")" OK
  want "$(cli strlen tagged)" 256
  want "$(cli --quoted-input set '"quo\x00ted"' '"a\r\nb"')" OK
  want "$(cli --quoted-input --no-raw get '"quo\x00ted"')" '"a\r\nb"'
}

check_expiry() {
  want "$(cli set e v EX 100)" OK
  ttl_near e 100
  want "$(cli expire e 200)" 1
  ttl_near e 200
  want "$(cli getex e EX 300)" v
  ttl_near e 300
  cli persist e >/dev/null
  if [[ $MODE == rules ]]; then ttl_near e 0; else want "$(cli ttl e)" -1; fi
  want "$(cli set gone v PX 1)" OK
  want "$(cli blpop nobody 0.05)" ""
  want "$(cli get gone)" ""
}

check_hash() {
  want "$(cli hset h a 1 b 2)" 2
  want "$(cli hget h b)" 2
  want "$(cli hincrby h a 5)" 6
  want "$(cli hgetall h | tr '\n' ' ')" "a 6 b 2 "
  want "$(cli hdel h a)" 1
}

check_counter() {
  want "$(cli -r 3 incr n)" $'1\n2\n3'
  want "$(cli decrby n 2)" 1
  want "$(cli incrbyfloat n 1.5)" 2.5
}

check_multi_key() {
  want "$(cli mset m1 a m2 b m3 c)" OK
  want "$(cli mget m1 m2 nothing m3)" $'a\nb\n\nc'
  want "$(cli del m1 m2 nothing)" 2
}

check_list_set() {
  want "$(cli rpush l a b c)" 3
  want "$(cli lrange l 0 -1)" $'a\nb\nc'
  want "$(cli sadd s a b)" 2
  want "$(cli sismember s a)" 1
  want "$(cli zadd z 1.5 a 2 b)" 2
  want "$(cli zrange z 0 -1 withscores | tr '\n' ' ')" "a 1.5 b 2 "
}

check_pipeline() {
  local i out
  for i in {1..1000}; do printf 'SET pipe:%d value-%d\r\n' "$i" "$i"; done > "$SCRATCH/pipe"
  out=$(cli --pipe < "$SCRATCH/pipe")
  like "$out" "*errors: 0, replies: 1000"
  want "$(cli get pipe:1000)" value-1000
  # In the protocol itself, as Redis's manual has it for mass insertion; one of them is an error.
  printf '*3\r\n$3\r\nSET\r\n$6\r\npipe:x\r\n$1\r\n1\r\n*2\r\n$4\r\nLLEN\r\n$6\r\npipe:x\r\n' > "$SCRATCH/pipe"
  out=$(cli --pipe < "$SCRATCH/pipe" 2>&1)
  like "$out" "*WRONGTYPE*errors: 1, replies: 2"
}

check_transaction() {
  want "$(printf 'multi\nset t 1\nincr t\nexec\n' | cli)" $'OK\nQUEUED\nQUEUED\nOK\n2'
  want "$(printf 'multi\nset t 7\ndiscard\nget t\n' | cli)" $'OK\nQUEUED\nOK\n2'
  like "$(printf 'multi\nset t\nexec\n' | cli 2>&1)" "OK*wrong number of arguments*EXECABORT*"
}

check_watch() {
  open
  say set w 1; hear OK
  say watch w; hear OK
  want "$(cli set w other)" OK
  say multi; hear OK
  say set w mine; hear QUEUED
  say exec; hear ""
  say get w; hear other
}

check_script() {
  echo 'return {KEYS[1], ARGV[1], redis.call("incr", KEYS[1])}' > "$SCRATCH/script.lua"
  want "$(cli --eval "$SCRATCH/script.lua" counter , argument)" $'counter\nargument\n1'
  local sha
  sha=$(cli script load "return redis.call('get', KEYS[1])")
  want "$(cli evalsha "$sha" 1 counter)" 1
  like "$(cli evalsha 0000000000000000000000000000000000000000 0 2>&1)" "NOSCRIPT*"
}

check_scan() {
  local i
  for i in {1..50}; do echo "set scan:$i x"; done | cli > "$SCRATCH/out"
  want "$(cli --scan --pattern 'scan:*' | wc -l)" 50
  want "$(cli --scan --pattern 'scan:7')" scan:7
  want "$(cli keys 'scan:4?' | wc -l)" 10
  want "$(cli --no-raw keys 'scan:7')" '1) "scan:7"'
}

check_bigkeys() {
  want "$(cli hset big:hash a 1 b 2 c 3 d 4)" 4
  local out
  out=$(cli --bigkeys)
  like "$out" '*Biggest   hash found*big:hash*has 4 fields*'
  [[ $out != *app:* ]] || fail "bigkeys shows the namespace"
  out=$(cli --memkeys --memkeys-samples 5)
  like "$out" '*Biggest*found*bytes*'
}

# stat prints the first line of numbers of --stat: keys, mem, clients, ...
stat() {
  timeout 20 redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" "${protocol[@]}" -i 0.01 --stat 2>&1 | sed -n '3{p;q}'
}

check_stat() {
  local keys mem clients blocked requests
  read -r keys mem clients blocked requests _ <<< "$(stat)"
  [[ $keys =~ ^[0-9]+$ && $mem == *M ]] || fail "keys $keys, mem $mem"
  ((clients > 0 && blocked == 0 && requests > 0)) || fail "clients $clients, blocked $blocked, requests $requests"
}

check_stat_keys() {
  local keys
  read -r keys _ <<< "$(stat)"
  ((keys > 0)) || fail "keys $keys"
}

check_latency() {
  read -r low high average samples <<< "$(cli --raw --latency -i 0.2)"
  ((low <= high && samples > 0)) || fail "$low $high $average $samples"
}

check_formats() {
  want "$(cli rpush f a 'b c')" 2
  want "$(cli --csv lrange f 0 -1)" '"a","b c"'
  want "$(cli -d , lrange f 0 -1)" 'a,b c'
  if redis-cli --help 2>&1 | grep -q -- --json; then
    want "$(cli --json lrange f 0 -1)" '["a","b c"]'
    want "$(cli hset f2 x 1)" 1
    want "$(cli --json hgetall f2)" '{"x":"1"}'
  fi
}

check_pubsub() {
  open
  say subscribe news
  hear subscribe; hear news; hear 1
  want "$(cli publish news hello)" 1
  hear message; hear news; hear hello
  want "$(cli pubsub channels)" news
  want "$(cli pubsub numsub news)" $'news\n1'
}

check_monitor() {
  open
  say monitor
  hear OK
  want "$(cli set monitored 1)" OK
  until_heard '*"set" "monitored" "1"'
}

check_blocking() {
  cli blpop queue 20 > "$SCRATCH/popped" &
  want "$(cli rpush queue job)" 1
  wait $!
  want "$(< "$SCRATCH/popped")" $'queue\njob'
  want "$(cli blpop queue 0.1)" ""
}

check_large() {
  head -c 1048576 /dev/urandom > "$SCRATCH/large"
  want "$(cli -x set large < "$SCRATCH/large")" OK
  cli get large | head -c 1048576 | cmp - "$SCRATCH/large" || fail "other bytes came back"
}

check_error() {
  want "$(cli set string x)" OK
  like "$(cli lpush string a 2>&1)" "WRONGTYPE Operation against a key holding the wrong kind of value*"
  ! cli -e lpush string a > "$SCRATCH/out" 2>&1 || fail "-e didn't make it the exit code"
  like "$(cli nonsense a b 2>&1)" "ERR unknown command 'nonsense', with args beginning with: 'a' 'b'*"
}

# Types that RESP2 doesn't have show in how redis-cli writes them.
check_resp3() {
  want "$(redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" -3 --no-raw hset three a 1)" "(integer) 1"
  want "$(redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" -3 --no-raw hgetall three)" '1# "a" => "1"'
  want "$(redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" -3 --no-raw zadd three:z 1.5 a)" "(integer) 1"
  want "$(redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" -3 --no-raw zscore three:z a)" "(double) 1.5"
  like "$(redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" -3 hello)" "*proto 3*"
}

check_concurrent() {
  local i
  for i in {1..50}; do cli incr together > "$SCRATCH/together.$i" & done
  wait
  want "$(cat "$SCRATCH"/together.* | sort -n | tail -n 1)" 50
  want "$(sort -u "$SCRATCH"/together.* | wc -l)" 50
}

# The command that finds the connection gone is lost, the next one connects anew.
check_reconnect() {
  open
  say set r before; hear OK
  say client id
  local id
  read -r -t "$patience" id <&"${CLI[0]}"
  want "$(cli client kill id "$id")" 1
  say get r
  say get r
  until_heard before
}

# --rdb and --replica ask for the stream that replicas get.
check_rdb() {
  cli --rdb "$SCRATCH/dump.rdb"
}

echo "# version $(redis-cli --version | cut -d ' ' -f 2)"
for name in connect set-get binary expiry hash counter multi-key list-set pipeline transaction watch script scan pubsub \
  blocking large error resp3 concurrent reconnect bigkeys stat latency formats; do
  check "$name"
done
if [[ $MODE == rules ]]; then
  differs monitor "*NOPERM*" "MONITOR shows the whole server: it is refused with NOPERM in a namespace"
  differs stat-keys "keys 0" "--stat shows 0 keys: in a namespace INFO counts keys only when it is asked for keyspace by name"
else
  check monitor
  check stat-keys
fi
differs rdb "*SYNC with master failed: -NOPERM*" "replication (SYNC, PSYNC) does not pass"
done_checking
