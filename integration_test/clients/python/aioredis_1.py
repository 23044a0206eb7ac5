"""aioredis 1, a library of its own before it became redis-py's asyncio side."""

import asyncio
import os

import aioredis

from tap import HOST, PASSWORD, PORT, URL, check, equal, finish, no_ttl, skip, ttl_between, version


async def connect(**kwargs):
    kwargs.setdefault("password", PASSWORD)
    return await aioredis.create_redis((HOST, PORT), **kwargs)


async def raises(kind, text, awaitable):
    try:
        result = await awaitable
    except kind as error:
        equal((text in str(error), str(error)), (True, str(error)))
        return
    raise AssertionError(f"got {result!r:.120}, want {kind.__name__} {text!r}")


async def main():
    version(aioredis.__version__)
    r = await aioredis.create_redis_pool(URL, minsize=1, maxsize=10)

    with check("connect"):
        one = await connect(db=0)
        equal((await one.ping(), await one.client_setname("matrix"), await one.client_getname()), (b"PONG", True, b"matrix"))
        other = await connect(db=1)
        await other.set("only-in-1", "v")
        equal((await one.get("only-in-1"), await other.get("only-in-1")), (None, b"v"))
        if PASSWORD:
            await raises(aioredis.ReplyError, "WRONGPASS", connect(password="wrong"))

    with check("set-get"):
        equal((await r.set("k", "v"), await r.get("k"), await r.get("nothing")), (True, b"v", None))
        equal((await r.setnx("k", "w"), await r.set("k", "w", exist="SET_IF_EXIST")), (0, True))

    with check("binary"):
        every = bytes(range(256))
        equal((await r.set(b"bin:" + every, every), await r.get(b"bin:" + every)), (True, every))
        equal((await r.set("bin:empty", b""), await r.get("bin:empty")), (True, b""))

    with check("expiry"):
        await r.set("e", "v", expire=100)
        ttl_between(await r.ttl("e"), 98, 100)
        equal(await r.expire("e", 200), True)
        ttl_between(await r.ttl("e"), 198, 200)
        equal(await r.persist("e"), True)
        no_ttl(await r.ttl("e"))
        equal(await r.execute("GETEX", "e", "EX", 50), b"v")
        ttl_between(await r.ttl("e"), 48, 50)

    with check("hash"):
        equal(await r.hmset_dict("h", {"a": "1", "b": "2"}), True)
        equal((await r.hgetall("h"), await r.hincrby("h", "a", 5)), ({b"a": b"1", b"b": b"2"}, 6))

    with check("counter"):
        equal((await r.incr("n"), await r.incrby("n", 9), await r.decr("n")), (1, 10, 9))

    with check("multi-key"):
        equal(await r.mset("m:1", "a", "m:2", "b"), True)
        equal(await r.mget("m:1", "m:2", "m:3"), [b"a", b"b", None])
        equal(await r.delete("m:1", "m:2", "m:3"), 2)

    with check("list-set"):
        equal((await r.rpush("l", "a", "b"), await r.lrange("l", 0, -1)), (2, [b"a", b"b"]))
        equal((await r.sadd("s", "a", "b"), set(await r.smembers("s"))), (2, {b"a", b"b"}))

    with check("pipeline"):
        pipe = r.pipeline()
        for i in range(500):
            pipe.set(f"p:{i}", i)
            pipe.get(f"p:{i}")
        equal(await pipe.execute(), [v for i in range(500) for v in (True, b"%d" % i)])

    with check("transaction"):
        tr = r.multi_exec()
        tr.set("t", 1)
        tr.incr("t")
        equal(await tr.execute(), [True, 2])

    with check("watch"):
        await one.watch("w")
        await other.select(0)
        await other.set("w", 2)
        tr = one.multi_exec()
        tr.set("w", 3)
        await raises(aioredis.MultiExecError, "WATCH variable has changed", tr.execute())
        equal(await r.get("w"), b"2")

    with check("script"):
        script = f"-- {os.urandom(8).hex()}\nreturn redis.call('INCRBY', KEYS[1], ARGV[1])"
        await raises(aioredis.ReplyError, "NOSCRIPT", r.evalsha("0" * 40, ["w"], [1]))
        sha = await r.script_load(script)
        equal((await r.evalsha(sha, ["w"], [1]), await r.eval(script, ["w"], [2])), (3, 5))

    with check("scan"):
        await r.mset(*[x for i in range(100) for x in (f"scan:{i:03}", "v")])
        found = set()
        async for key in r.iscan(match="scan:*", count=10):
            found.add(key)
        equal(found, {b"scan:%03d" % i for i in range(100)})
        equal(len(await r.keys("scan:*")), 100)

    with check("pubsub"):
        listener = await connect()
        channel, = await listener.subscribe("news")
        equal(await r.publish("news", "x"), 1)
        equal(await asyncio.wait_for(channel.get(), 5), b"x")
        await listener.unsubscribe("news")

    with check("blocking"):
        waiting = asyncio.ensure_future(one.blpop("queue", timeout=5))
        await asyncio.sleep(0.1)
        await r.rpush("queue", "job")
        equal(await waiting, [b"queue", b"job"])
        equal(await one.blpop("queue", timeout=1), None)

    with check("large"):
        value = bytes(range(256)) * 4096
        equal((await r.set("large", value), await r.get("large") == value), (True, True))

    with check("error"):
        await raises(aioredis.ReplyError, "WRONGTYPE", r.get("l"))
        await raises(aioredis.ReplyError, "unknown command", r.execute("NOSUCH"))

    skip("resp3", "aioredis 1 speaks RESP2 only")

    with check("concurrent"):
        async def count(i):
            return [await r.incr(f"c:{i}") for _ in range(20)]
        equal(await asyncio.gather(*(count(i) for i in range(50))), [list(range(1, 21))] * 50)

    with check("reconnect"):
        pool = await aioredis.create_redis_pool(URL, minsize=1, maxsize=1)
        equal(await one.execute("CLIENT", "KILL", "ID", await pool.execute("CLIENT", "ID")), 1)
        for _ in range(200):  # a pool makes another connection once it has seen that this one was closed
            try:
                equal(await pool.set("back", 1), True)
                break
            except aioredis.ConnectionClosedError:
                await asyncio.sleep(0.01)
        equal(await pool.get("back"), b"1")

    finish()


asyncio.run(main())
