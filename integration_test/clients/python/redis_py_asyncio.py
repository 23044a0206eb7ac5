"""redis-py's asyncio side, which aioredis 2 became."""

import asyncio
import os

import redis.asyncio as redis
from redis import __version__
from redis.exceptions import (AuthenticationError, ConnectionError, LockError, NoScriptError, ResponseError,
                              WatchError)

from tap import HOST, PASSWORD, PORT, URL, check, equal, finish, no_ttl, skip, ttl_between, version


def connect(db=0, **kwargs):
    kwargs.setdefault("password", PASSWORD)
    return redis.Redis(host=HOST, port=PORT, db=db, **kwargs)


async def raises(kind, text, awaitable):
    try:
        result = await awaitable
    except kind as error:
        equal((text in str(error), str(error)), (True, str(error)))
        return
    raise AssertionError(f"got {result!r:.120}, want {kind.__name__} {text!r}")


async def eventually(condition, seconds=10):
    async def wait():
        while not await condition():
            await asyncio.sleep(0.01)
    await asyncio.wait_for(wait(), seconds)


async def main():
    version(__version__)
    r = connect()

    with check("connect"):
        named = connect(client_name="matrix", username="default" if PASSWORD else None)
        equal((await named.ping(), await named.client_getname()), (True, "matrix"))
        equal(await redis.from_url(URL).ping(), True)
        other = connect(db=1)
        await other.set("only-in-1", "v")
        equal((await r.get("only-in-1"), await other.get("only-in-1")), (None, b"v"))
        if PASSWORD:
            await raises(ResponseError, "WRONGPASS", connect(password="wrong").ping())
            await raises(AuthenticationError, "Authentication required", connect(password=None).ping())

    with check("set-get"):
        equal((await r.set("k", "v"), await r.get("k"), await r.get("nothing")), (True, b"v", None))
        equal((await r.set("k", "w", nx=True), await r.set("k", "w", xx=True)), (None, True))

    with check("binary"):
        every = bytes(range(256))
        equal((await r.set(b"bin:" + every, every), await r.get(b"bin:" + every)), (True, every))
        equal((await r.set("bin:empty", b""), await r.get("bin:empty")), (True, b""))

    with check("expiry"):
        await r.set("e", "v", ex=100)
        ttl_between(await r.ttl("e"), 98, 100)
        equal(await r.expire("e", 200), True)
        ttl_between(await r.ttl("e"), 198, 200)
        equal(await r.persist("e"), True)
        no_ttl(await r.ttl("e"))
        equal(await r.getex("e", ex=50), b"v")
        ttl_between(await r.ttl("e"), 48, 50)
        await raises(ResponseError, "invalid expire time", r.setex("e", 0, "v"))

    with check("hash"):
        equal(await r.hset("h", mapping={"a": "1", "b": "2"}), 2)
        equal(await r.hgetall("h"), {b"a": b"1", b"b": b"2"})
        equal((await r.hincrby("h", "a", 5), await r.hdel("h", "b")), (6, 1))

    with check("counter"):
        equal((await r.incr("n"), await r.incrby("n", 9), await r.decr("n")), (1, 10, 9))

    with check("multi-key"):
        equal(await r.mset({"m:1": "a", "m:2": "b"}), True)
        equal(await r.mget("m:1", "m:2", "m:3"), [b"a", b"b", None])
        equal(await r.delete("m:1", "m:2", "m:3"), 2)

    with check("list-set"):
        equal((await r.rpush("l", "a", "b"), await r.lrange("l", 0, -1)), (2, [b"a", b"b"]))
        equal((await r.sadd("s", "a", "b"), await r.smembers("s")), (2, {b"a", b"b"}))

    with check("pipeline"):
        pipe = r.pipeline(transaction=False)
        for i in range(500):
            pipe.set(f"p:{i}", i).get(f"p:{i}")
        equal(await pipe.execute(), [v for i in range(500) for v in (True, b"%d" % i)])

    with check("transaction"):
        async with r.pipeline(transaction=True) as pipe:
            equal(await pipe.set("t", 1).incr("t").get("t").execute(), [True, 2, b"2"])

    with check("watch"):
        async with r.pipeline() as pipe:
            await pipe.watch("w")
            await r.set("w", 2)
            pipe.multi()
            pipe.set("w", 3)
            await raises(WatchError, "", pipe.execute())
        equal(await r.get("w"), b"2")

    with check("script"):
        double = r.register_script(f"-- {os.urandom(8).hex()}\nreturn redis.call('INCRBY', KEYS[1], ARGV[1])")
        await raises(NoScriptError, "", r.evalsha(double.sha, 1, "w", 1))
        equal((await double(keys=["w"], args=[1]), await double(keys=["w"], args=[2])), (3, 5))
        equal(await r.eval("return {KEYS[1], ARGV[1]}", 1, "k", "a"), [b"k", b"a"])

    with check("lock"):
        async with r.lock("job:lock", timeout=30):
            equal(await r.lock("job:lock", timeout=30).acquire(blocking=False), False)
            ttl_between(await r.ttl("job:lock"), 28, 30)
        equal(await r.exists("job:lock"), 0)
        lost = r.lock("lost_LOCK")
        equal(await lost.acquire(), True)
        no_ttl(await r.ttl("lost_LOCK"))
        await r.delete("lost_LOCK")
        await raises(LockError, "", lost.release())

    with check("scan"):
        await r.mset({f"scan:{i:03}": "v" for i in range(100)})
        equal({k async for k in r.scan_iter(match="scan:*", count=10)}, {b"scan:%03d" % i for i in range(100)})
        equal(len(await r.keys("scan:*")), 100)

    with check("pubsub"):
        p = r.pubsub()
        await p.subscribe("news")
        equal((await p.get_message(timeout=5))["type"], "subscribe")
        equal(await r.publish("news", "x"), 1)
        got = await p.get_message(timeout=5)
        equal((got["channel"], got["data"]), (b"news", b"x"))
        await p.close()

    with check("blocking"):
        waiting = asyncio.create_task(connect().blpop("queue", timeout=5))
        await asyncio.sleep(0.1)
        await r.rpush("queue", "job")
        equal(await waiting, (b"queue", b"job"))
        equal(await r.blpop("queue", timeout=1), None)

    with check("large"):
        value = bytes(range(256)) * 4096
        equal((await r.set("large", value), await r.get("large") == value), (True, True))

    with check("error"):
        await raises(ResponseError, "WRONGTYPE", r.get("l"))
        await raises(ResponseError, "unknown command", r.execute_command("NOSUCH"))

    skip("resp3", "redis-py 4 speaks RESP2 only")

    with check("concurrent"):
        async def count(i):
            return [await r.incr(f"c:{i}") for _ in range(20)]
        equal(await asyncio.gather(*(count(i) for i in range(50))), [list(range(1, 21))] * 50)

    with check("reconnect"):
        victim = connect(client_name="victim")
        equal(await r.client_kill_filter(_id=await victim.client_id()), 1)

        async def back():  # told at most once, then there is another connection
            try:
                return await victim.set("back", 1)
            except ConnectionError:
                return False
        await eventually(back, 2)
        equal((await victim.get("back"), await victim.client_getname()), (b"1", "victim"))

    finish()


asyncio.run(main())
