# redis-benchmark, whose answers are counts: any error ends it.
. ./tap.sh
auth=()
[[ -z $REDIS_PASSWORD ]] || auth=(-a "$REDIS_PASSWORD")

# bench FLAGS... WANT: each of the tests named in WANT has its line.
bench() {
  local out test tests=${*: -1}
  out=$(redis-benchmark -h "$REDIS_HOST" -p "$REDIS_PORT" "${auth[@]}" -q "${@:1:$#-1}" -t "$tests" 2>&1 | tr '\r' '\n') || fail "$out"
  for test in ${tests//,/ }; do
    grep -qi "^$test.*: [0-9.]* requests per second" <<< "$out" || fail "nothing about $test in: $out"
  done
  ! grep -qi error <<< "$out" || fail "$out"
}

check_set_get() { bench -n 2000 -c 10 -r 100 set,get; }
check_counter() { bench -n 2000 -c 10 incr; }
check_hash() { bench -n 2000 -c 10 -r 100 hset; }
check_list_set() { bench -n 2000 -c 10 -r 100 lpush,rpush,lpop,rpop,sadd,spop,zadd,zpopmin; }
check_multi_key() { bench -n 500 -c 10 -r 100 mset; }
check_pipeline() { bench -n 5000 -P 100 -r 100 set,get; }
check_large() { bench -n 50 -c 2 -d 1048576 set,get; }
check_concurrent() { bench -n 5000 -c 50 -r 100 set,get; }
check_threads() { bench -n 5000 -c 50 --threads 2 -r 100 set,get; }
check_resp3() { bench -3 -n 2000 -c 10 set,get; }

echo "# version $(redis-benchmark --version | cut -d ' ' -f 2)"
for name in set-get counter hash list-set multi-key pipeline large concurrent threads resp3; do
  check "$name"
done
done_checking
