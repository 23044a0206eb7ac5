"""redis-py: `redis_py.py python` with its own parser, `redis_py.py hiredis` with hiredis'."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import redis
from redis.connection import BlockingConnectionPool, Connection, HiredisParser, PythonParser

from tap import (HOST, PASSWORD, PORT, URL, check, equal, eventually, finish, no_ttl, raises, skip,
                 ttl_between, version)

hiredis = sys.argv[1] == "hiredis"
PARSER = HiredisParser if hiredis else PythonParser


def connect(pool=redis.ConnectionPool, db=0, **kwargs):
    kwargs.setdefault("password", PASSWORD)
    return redis.Redis(connection_pool=pool(
        connection_class=Connection, parser_class=PARSER, host=HOST, port=PORT, db=db, **kwargs))


text = redis.__version__
if hiredis:
    import hiredis as module
    text += " + " + module.__version__
version(text)
r = connect()

with check("connect"):
    named = connect(client_name="matrix", username="default" if PASSWORD else None)
    equal(named.ping(), True)
    equal(named.client_getname(), "matrix")
    equal(any(c["name"] == "matrix" for c in named.client_list()), True)
    equal(redis.Redis.from_url(URL).ping(), True)
    other = connect(db=1)
    other.set("only-in-1", "v")
    equal((r.get("only-in-1"), other.get("only-in-1")), (None, b"v"))
    if PASSWORD:
        raises(redis.ResponseError, "WRONGPASS", connect(password="wrong").ping)
        raises(redis.AuthenticationError, "Authentication required", connect(password=None).ping)

with check("set-get"):
    equal(r.set("k", "v"), True)
    equal(r.get("k"), b"v")
    equal(r.get("nothing"), None)
    equal((r.set("k", "w", nx=True), r.set("k", "w", xx=True)), (None, True))
    equal(r.set("k", "x", get=True), b"w")
    equal((r.append("k", "y"), r.strlen("k"), r.getrange("k", 0, 0)), (2, 2, b"x"))
    equal((r.getset("k", "z"), r.getdel("k"), r.exists("k")), (b"xy", b"z", 0))
    equal(connect(decode_responses=True).set("é", "ü") and connect(decode_responses=True).get("é"), "ü")

with check("binary"):
    every = bytes(range(256))
    equal(r.set(b"bin:" + every, every) and r.get(b"bin:" + every), every)
    equal(r.set("bin:empty", b"") and r.get("bin:empty"), b"")
    equal(r.hset(b"bin:h", every, every) and r.hgetall(b"bin:h"), {every: every})
    equal(b"bin:" + every in r.keys("bin:*"), True)

with check("expiry"):
    r.set("e", "v", ex=100)
    ttl_between(r.ttl("e"), 98, 100)
    r.set("e", "v", px=50_000)
    ttl_between(r.pttl("e") // 1000, 45, 50)
    equal(r.expire("e", 200), True)
    ttl_between(r.ttl("e"), 198, 200)
    equal(r.persist("e"), True)
    no_ttl(r.ttl("e"))
    equal(r.getex("e", ex=50), b"v")
    ttl_between(r.ttl("e"), 48, 50)
    r.set("e", "w", keepttl=True)
    ttl_between(r.ttl("e"), 48, 50)
    equal(r.getex("e", persist=True), b"w")
    no_ttl(r.ttl("e"))
    r.setex("e", 70, "x")
    r.set("e", "y")
    no_ttl(r.ttl("e"))
    equal((r.ttl("nothing"), r.expire("nothing", 5), r.persist("nothing")), (-2, False, False))
    equal((r.expire("e", 0), r.exists("e")), (True, 0))
    raises(redis.ResponseError, "invalid expire time", r.setex, "e", 0, "v")
    r.set("e", "v", px=30)
    eventually(lambda: r.exists("e") == 0)

with check("hash"):
    equal(r.hset("h", mapping={"a": "1", "b": "2"}), 2)
    equal((r.hget("h", "a"), r.hmget("h", "a", "c")), (b"1", [b"1", None]))
    equal((r.hgetall("h"), r.hlen("h")), ({b"a": b"1", b"b": b"2"}, 2))
    equal((r.hincrby("h", "a", 5), r.hincrbyfloat("h", "f", 1.5)), (6, 1.5))
    equal((r.hdel("h", "b"), r.hexists("h", "b"), r.hsetnx("h", "a", 0)), (1, False, 0))
    equal(dict(r.hscan_iter("h")), {b"a": b"6", b"f": b"1.5"})
    no_ttl(r.ttl("h"))

with check("counter"):
    equal((r.incr("n"), r.incr("n", 9), r.decr("n", 3)), (1, 10, 7))
    equal(r.incrbyfloat("n", 0.5), 7.5)
    raises(redis.ResponseError, "not an integer", r.incr, "n")

with check("multi-key"):
    equal(r.mset({"m:1": "a", "m:2": "b"}), True)
    equal(r.mget("m:1", "m:2", "m:3"), [b"a", b"b", None])
    equal(r.msetnx({"m:2": "x", "m:3": "x"}), False)
    equal((r.exists("m:1", "m:2", "m:3"), r.touch("m:1", "m:3")), (2, 1))
    equal((r.rename("m:1", "m:4"), r.copy("m:4", "m:5"), r.renamenx("m:4", "m:5")), (True, True, False))
    raises(redis.ResponseError, "no such key", r.rename, "m:1", "m:9")
    equal((r.delete("m:1", "m:2", "m:5"), r.unlink("m:4", "m:5")), (2, 1))

with check("list-set"):
    equal((r.rpush("l", "a", "b", "c"), r.lrange("l", 0, -1)), (3, [b"a", b"b", b"c"]))
    equal((r.lpop("l"), r.rpop("l", 2), r.exists("l")), (b"a", [b"c", b"b"], 0))
    equal((r.sadd("s", "a", "b"), r.sadd("s:2", "b", "c"), r.sinter("s", "s:2")), (2, 2, {b"b"}))
    equal((r.sismember("s", "a"), r.srem("s", "a"), r.smembers("s")), (True, 1, {b"b"}))
    equal(r.zadd("z", {"a": 1, "b": 2.5}), 2)
    equal(r.zrange("z", 0, -1, withscores=True), [(b"a", 1.0), (b"b", 2.5)])
    equal((r.zrangebyscore("z", 2, "+inf"), r.zincrby("z", 3, "a"), r.zrank("z", "a")), ([b"b"], 4.0, 1))

with check("types"):
    entry = r.xadd("x", {"f": "v"})
    equal(r.xrange("x"), [(entry, {b"f": b"v"})])
    equal(r.xgroup_create("x", "g", id="0"), True)
    equal(r.xreadgroup("g", "c", {"x": ">"}), [[b"x", [(entry, {b"f": b"v"})]]])
    equal((r.xack("x", "g", entry), r.xlen("x")), (1, 1))
    equal((r.pfadd("hll", "a", "b"), r.pfcount("hll")), (1, 2))
    equal((r.setbit("bits", 7, 1), r.getbit("bits", 7), r.bitcount("bits")), (0, 1, 1))
    equal(r.geoadd("geo", (4.35, 50.85, "Brussels")), 1)
    equal(r.geosearch("geo", member="Brussels", radius=1), [b"Brussels"])
    equal((r.type("x"), r.object("encoding", "bits")), (b"stream", b"raw"))
    equal(r.restore("hll:2", 0, r.dump("hll")), b"OK")
    equal(r.sort("s:2", alpha=True, desc=True), [b"c", b"b"])

with check("pipeline"):
    pipe = r.pipeline(transaction=False)
    for i in range(500):
        pipe.set(f"p:{i}", i).get(f"p:{i}")
    equal(pipe.execute(), [v for i in range(500) for v in (True, b"%d" % i)])
    pipe.set("p:0", "text").incr("p:0").get("p:0")
    got = pipe.execute(raise_on_error=False)
    equal((got[0], isinstance(got[1], redis.ResponseError), got[2]), (True, True, b"text"))

with check("transaction"):
    equal(r.pipeline().set("t", 1).incr("t").expire("t", 60).get("t").execute(), [True, 2, True, b"2"])
    got = r.pipeline().set("t", "text").incr("t").get("t").execute(raise_on_error=False)
    equal((got[0], isinstance(got[1], redis.ResponseError), got[2]), (True, True, b"text"))
    broken = r.pipeline().set("t", "lost")
    broken.execute_command("NOSUCH", "t")
    raises(redis.ResponseError, "unknown command", broken.execute)
    equal(r.get("t"), b"text")

with check("watch"):
    r.set("w", 1)
    with r.pipeline() as pipe:
        pipe.watch("w")
        r.set("w", 2)
        pipe.multi()
        pipe.set("w", 3)
        raises(redis.WatchError, "", pipe.execute)
    equal(r.get("w"), b"2")

    tries = []

    def add(pipe):
        value = int(pipe.get("w"))
        if not tries:
            r.incr("w")  # a conflict the first time
        tries.append(value)
        pipe.multi()
        pipe.set("w", value + 10)

    equal((r.transaction(add, "w"), tries, r.get("w")), ([True], [2, 3], b"13"))

with check("script"):
    equal(r.eval("return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1])}", 1, "w", "a"), [b"w", b"a", b"13"])
    unique = f"-- {os.urandom(8).hex()}\n"  # a script that no server has seen
    double = r.register_script(unique + "local n = redis.call('GET', KEYS[1]) * 2\nredis.call('SET', KEYS[1], n)\nreturn n")
    raises(redis.exceptions.NoScriptError, "", r.evalsha, double.sha, 1, "w")
    equal((double(keys=["w"]), double(keys=["w"])), (26, 52))  # at first NOSCRIPT, SCRIPT LOAD and again
    equal(r.script_exists(double.sha, "0" * 40), [True, False])
    pipe = r.pipeline()
    double(keys=["w"], client=pipe)
    equal(pipe.get("w").execute(), [104, b"104"])
    raises(redis.ResponseError, "mine", r.eval, "return redis.error_reply('ERR mine')", 0)
    no_ttl(r.ttl("w"))

with check("lock"):
    lock = r.lock("job:lock", timeout=30)
    equal((lock.acquire(blocking=False), lock.locked(), lock.owned()), (True, True, True))
    equal(r.lock("job:lock", timeout=30).acquire(blocking=False), False)
    equal((lock.extend(60), lock.reacquire()), (True, True))
    ttl_between(r.ttl("job:lock"), 28, 30)
    stranger = r.lock("job:lock", thread_local=False)
    stranger.local.token = b"not mine"
    raises(redis.exceptions.LockNotOwnedError, "", stranger.release)
    lock.release()
    equal(r.exists("job:lock"), 0)
    with r.lock("job:lock", timeout=30):
        waiter = r.lock("job:lock", timeout=30, blocking_timeout=0.1, sleep=0.02)
        raises(redis.exceptions.LockError, "", waiter.__enter__)
    forever = r.lock("forever:lock")
    equal(forever.acquire(), True)
    no_ttl(r.ttl("forever:lock"))

with check("scan"):
    names = {b"scan:%03d" % i for i in range(100)} | {b"scan:[x]", b"scan:a*b", b"scan:a?b"}
    r.mset({name: "v" for name in names})
    equal(set(r.scan_iter(match="scan:*", count=10)), names)
    equal(set(r.keys("scan:*")), names)
    equal(r.keys("scan:[[]x]"), [b"scan:[x]"])
    equal(set(r.keys("scan:00[0-4]")), {b"scan:%03d" % i for i in range(5)})
    equal(list(r.scan_iter(match="scan:a\\*b")), [b"scan:a*b"])
    equal(set(r.scan_iter(match="*", _type="hash")), {b"h", b"bin:h"})
    equal((r.dbsize(), r.randomkey() in set(r.keys())), (len(r.keys()), True))
    other.mset({"f:1": 1, "f:2": 2})
    equal((other.flushdb(), other.dbsize(), r.dbsize() > 100), (True, 0, True))

with check("pubsub"):
    p = r.pubsub()
    p.subscribe("news")
    p.psubscribe("n*s")
    equal([p.get_message(timeout=5)["type"] for _ in range(2)], ["subscribe", "psubscribe"])
    equal(r.publish("news", b"\x00\xff"), 2)
    got = {m["type"]: m for m in (p.get_message(timeout=5) for _ in range(2))}
    equal((got["message"]["channel"], got["message"]["data"]), (b"news", b"\x00\xff"))
    equal((got["pmessage"]["pattern"], got["pmessage"]["channel"]), (b"n*s", b"news"))
    equal((r.pubsub_channels("n*"), r.pubsub_numsub("news")), ([b"news"], [(b"news", 1)]))
    p.ping("hello")
    equal(p.get_message(timeout=5)["data"], b"hello")
    p.unsubscribe("news")
    equal((p.get_message(timeout=5)["type"], r.publish("news", "x")), ("unsubscribe", 1))

    heard = []
    threaded = r.pubsub(ignore_subscribe_messages=True)
    threaded.subscribe(**{"thread": lambda m: heard.append(m["data"])})
    thread = threaded.run_in_thread(sleep_time=0.05)
    eventually(lambda: r.publish("thread", "x") == 1)
    eventually(lambda: heard == [b"x"])
    thread.stop()
    thread.join()

with check("pubsub-reconnect"):
    p = r.pubsub(ignore_subscribe_messages=True)
    p.subscribe("again")
    equal(p.get_message(timeout=5), None)
    victims = [c["id"] for c in r.client_list(_type="pubsub") if c["sub"] == "1" and c["psub"] == "0"]
    equal(len(victims), 1)
    equal(r.client_kill_filter(_id=victims[0]), 1)
    raises(redis.ConnectionError, "", p.get_message, timeout=5)  # told once
    got = []

    def heard_again():
        r.publish("again", "x")
        message = p.get_message(timeout=0.1)  # has connected and subscribed anew by itself
        got.extend([message["data"]] if message else [])
        return got

    eventually(heard_again)
    equal(got[0], b"x")

with check("blocking"):
    timer = threading.Timer(0.2, lambda: connect().rpush("queue", "job"))
    timer.start()
    equal(r.blpop(["queue:0", "queue"], timeout=5), (b"queue", b"job"))
    equal(r.blpop("queue", timeout=1), None)
    r.rpush("queue", "a")
    equal((r.blmove("queue", "queue:2", 1), r.brpop("queue:2", 1)), (b"a", (b"queue:2", b"a")))
    r.zadd("prio", {"a": 1})
    equal(r.bzpopmin("prio", 1), (b"prio", b"a", 1.0))

with check("large"):
    value = bytes(range(256)) * 4096
    equal(r.set("large", value) and r.get("large"), value)

with check("error"):
    r.rpush("list", "a")
    raises(redis.ResponseError, "WRONGTYPE", r.get, "list")
    raises(redis.ResponseError, "unknown command", r.execute_command, "NOSUCH", "x")
    raises(redis.ResponseError, "wrong number of arguments", r.execute_command, "GET")
    equal(r.ping(), True)

skip("resp3", "redis-py 4 speaks RESP2 only")

with check("concurrent"):
    pool = connect(pool=BlockingConnectionPool, max_connections=20, timeout=20)
    with ThreadPoolExecutor(50) as threads:
        got = list(threads.map(lambda i: [pool.incr(f"c:{i}") for _ in range(20)], range(50)))
    equal(got, [list(range(1, 21))] * 50)

with check("reconnect"):
    victim = connect(client_name="victim")
    equal(r.client_kill_filter(_id=victim.client_id()), 1)
    equal(victim.set("back", 1), True)  # the pool sees that its connection was closed, and makes another
    equal((victim.get("back"), victim.client_getname()), (b"1", "victim"))
    single = connect(client_name="single").client()
    equal(r.client_kill_filter(_id=single.client_id()), 1)
    raises(redis.ConnectionError, "", single.set, "back", 2)  # a connection of its own is not looked at before
    equal((single.set("back", 2), single.client_getname()), (True, "single"))

with check("server"):
    info = r.info()
    equal((info["role"], info["loading"]), ("master", 0))
    equal(len(r.time()), 2)
    equal(r.command_count() > 200, True)
    equal(r.command_getkeys("MSET", "a", 1, "b", 2), ["a", "b"])
    equal(r.echo("x"), b"x")

finish()
