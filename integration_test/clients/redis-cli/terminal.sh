# redis-cli as a person has it: on a terminal, with a prompt, hints while typing, and help.
. ./tap.sh
export TERM=xterm HOME=$SCRATCH # where it keeps its history

# terminal starts redis-cli with the flags given on a terminal of its own. It types when type is called, and screen holds
# what has been shown and not yet awaited.
terminal() {
  screen=
  coproc TERMINAL { exec script -qefc "stty rows 40 cols 160; exec redis-cli -h $REDIS_HOST -p $REDIS_PORT $*" /dev/null 2>/dev/null; }
  trap "kill $TERMINAL_PID" EXIT
}
type() { printf %s "$1" >&"${TERMINAL[1]}"; }

# await TEXT reads until it is shown.
await() {
  local c
  until [[ $screen == *"$1"* ]]; do
    IFS= read -r -N 1 -t "$patience" c <&"${TERMINAL[0]}" || fail "$(printf 'no %q on the screen; there is %q' "$1" "$screen")"
    screen+=$c
  done
  screen=${screen#*"$1"}
}

prompt="$REDIS_HOST:$REDIS_PORT> "

# run COMMAND types it and awaits what it shows: each of the other arguments.
run() {
  type "$1"$'\r'
  await $'\n' # what follows isn't what was typed
  local shown
  for shown in "${@:2}"; do await "$shown"; done
}

# begin starts redis-cli and leaves it at its prompt.
begin() {
  terminal "$@"
  await "$prompt"
}

check_connect() {
  begin
  run ping PONG "$prompt"
  run "select 2" OK "$REDIS_HOST:$REDIS_PORT[2]> "
  run "select 0" OK "$prompt"
  run "client setname person" OK "$prompt"
  run "client getname" '"person"' "$prompt"
}

check_set_get() {
  begin
  run 'set greeting "hello\tyou"' OK "$prompt"
  run "get greeting" '"hello\tyou"' "$prompt"
  run "get nothing" "(nil)" "$prompt"
  run "incr visits" "(integer) 1" "$prompt"
  run "hset person name Ann" "(integer) 1" "$prompt"
  run "hgetall person" '1) "name"' '2) "Ann"' "$prompt"
}

check_error() {
  begin
  run "set e 1" OK "$prompt"
  run "lpush e 1" "(error) WRONGTYPE" "$prompt"
  run "nonsense" "(error) ERR unknown command 'nonsense'" "$prompt"
}

# What hints and help say comes from COMMAND DOCS, which redis-cli asks for at the start.
check_hints() {
  local summary
  summary=$(cli command docs getex | grep -A 1 '^summary$' | tail -n 1)
  [[ -n $summary ]] || fail "COMMAND DOCS tells nothing of GETEX"
  begin
  type "getex"
  await "key [EX seconds"
  type $'\x15' # Ctrl-U: the line is gone
  run "help getex" "GETEX" "$summary" "since:" "6.2.0" "$prompt"
  run "help @string" "SETRANGE" "$prompt"
}

# The Tab key completes names.
check_completion() {
  begin
  type $'psub\t'
  await PSUBSCRIBE
  type $'\x15'
  run ping PONG "$prompt"
}

check_transaction() {
  begin
  run multi OK "$REDIS_HOST:$REDIS_PORT(TX)> "
  run "set t 1" QUEUED "(TX)> "
  run "incr t" QUEUED "(TX)> "
  run exec "1) OK" "2) (integer) 2" "$prompt"
}

check_pubsub() {
  begin
  run "subscribe news" "Reading messages..." '1) "subscribe"' "(integer) 1"
  want "$(cli publish news hello)" 1
  await '1) "message"'
  await '3) "hello"'
}

check_monitor() {
  begin
  run monitor OK
  want "$(cli set monitored 1)" OK
  await '"set" "monitored" "1"'
}

check_blocking() {
  begin
  run "rpush q a" "(integer) 1" "$prompt"
  run "blpop q 5" '1) "q"' '2) "a"' "$prompt"
  run "blpop q 0.1" "(nil)" "$prompt"
}

check_resp3() {
  begin -3
  run "hset three a 1" "(integer) 1" "$prompt"
  run "hgetall three" '1# "a" => "1"' "$prompt"
  run "subscribe news" "Reading messages..." '"subscribe"'
  want "$(cli publish news hello)" 1
  await '"hello"'
}

check_reconnect() {
  begin
  run "set r before" OK "$prompt"
  run "client setname victim" OK "$prompt"
  local id
  id=$(cli client list | sed -n 's/^id=\([0-9]*\) .*name=victim .*/\1/p')
  want "$(cli client kill id "$id")" 1
  run "get r" "Server closed the connection" "not connected> "
  run "get r" '"before"' "$prompt"
}

echo "# version $(redis-cli --version | cut -d ' ' -f 2)"
for name in connect set-get error transaction pubsub blocking resp3 reconnect hints completion; do
  check "$name"
done
if [[ $MODE == rules ]]; then
  differs monitor "*NOPERM*" "MONITOR shows the whole server: it is refused with NOPERM in a namespace"
else
  check monitor
fi
done_checking
