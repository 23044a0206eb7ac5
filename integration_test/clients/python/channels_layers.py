"""channels-redis, by which Django Channels carries messages between its processes: `core`, on sorted sets and scripts, or `pubsub`."""

import asyncio
import sys
from importlib import metadata

import redis
from channels.exceptions import ChannelFull
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from tap import RULES, URL, check, differs, equal, eventually, finish, skip, ttl_between, version

EVERY = bytes(range(256))

behind = redis.Redis.from_url(URL)


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, 10)


async def silent(layer, channel):
    try:
        got = await asyncio.wait_for(layer.receive(channel), 0.3)
    except asyncio.TimeoutError:
        return
    raise AssertionError(f"got {got!r}, want nothing")


def kill_others():
    mine = behind.client_id()
    for client in behind.client_list():
        if int(client["id"]) != mine:
            behind.client_kill_filter(_id=client["id"])


async def core():
    layer = RedisChannelLayer(hosts=[URL], expiry=60, group_expiry=3600, capacity=5)
    names = ("binary", "blocking", "expiry", "script", "capacity", "concurrent", "reconnect", "flush")
    if RULES:
        # Its scripts name keys in ARGV, which can't be given the namespace. They must fail, not reach outside.
        with check("connect"):
            await layer.send("first", {"type": "hello"})
        with check("refusal"):
            try:
                got = await soon(layer.receive("first"))
            except redis.ResponseError as error:
                equal("can't access at least one of the keys" in str(error), True)
            else:
                raise AssertionError(f"got {got!r}, want the script to be refused")
        for name in names:
            differs(name, "refused in a namespace: its scripts use keys that they don't declare")
        return

    with check("connect"):
        await layer.send("first", {"type": "hello"})
        equal(await soon(layer.receive("first")), {"type": "hello"})

    with check("binary"):
        await layer.send("binary", {"type": "x", "data": EVERY, "empty": b""})
        equal(await soon(layer.receive("binary")), {"type": "x", "data": EVERY, "empty": b""})

    with check("blocking"):
        waiting = asyncio.create_task(layer.receive("later"))
        await asyncio.sleep(0.1)
        await layer.send("later", {"type": "x", "n": 1})
        equal(await soon(waiting), {"type": "x", "n": 1})
        await silent(layer, "later")

    with check("expiry"):
        await layer.send("kept", {"type": "x"})
        ttl_between(behind.ttl("asgikept"), 55, 60)
        await layer.group_add("room", "kept")
        ttl_between(behind.ttl("asgi:group:room"), 3590, 3600)

    with check("script"):
        # group_send runs a script over the channels of the group.
        names = [await layer.new_channel() for _ in range(3)]
        for name in names:
            await layer.group_add("chat", name)
        await layer.group_send("chat", {"type": "say", "text": "hi"})
        equal([(await soon(layer.receive(name)))["text"] for name in names], ["hi"] * 3)
        await layer.group_discard("chat", names[0])
        await layer.group_send("chat", {"type": "say", "text": "again"})
        equal([(await soon(layer.receive(name)))["text"] for name in names[1:]], ["again"] * 2)
        await silent(layer, names[0])

    with check("capacity"):
        for n in range(5):
            await layer.send("full", {"type": "x", "n": n})
        try:
            await layer.send("full", {"type": "x", "n": 5})
        except ChannelFull:
            pass
        else:
            raise AssertionError("the sixth message was taken")
        equal([(await soon(layer.receive("full")))["n"] for _ in range(5)], list(range(5)))

    with check("concurrent"):
        wide = RedisChannelLayer(hosts=[URL], capacity=1000)
        await asyncio.gather(*(wide.send("wide", {"type": "x", "n": n}) for n in range(50)))
        equal(sorted([(await soon(wide.receive("wide")))["n"] for _ in range(50)]), list(range(50)))
        await wide.close_pools()

    with check("reconnect"):
        kill_others()
        for _ in range(200):
            try:
                await layer.send("back", {"type": "x"})
                break
            except redis.ConnectionError:
                await asyncio.sleep(0.01)
        equal(await soon(layer.receive("back")), {"type": "x"})

    with check("flush"):
        await layer.send("gone", {"type": "x"})
        await layer.group_add("gone", "gone")
        await layer.flush()
        equal(behind.keys("asgi*"), [])
        await layer.send("left", {"type": "x"})


async def pubsub():
    bus = RedisPubSubChannelLayer(hosts=[URL])

    def subscribers(channel):
        return behind.pubsub_numsub(channel)[0][1]

    with check("connect"):
        names = [await bus.new_channel() for _ in range(2)]
        for name in names:
            await bus.group_add("news", name)
        # It doesn't wait for the reply to its SUBSCRIBE, which what is published over another connection may overtake.
        eventually(lambda: subscribers("asgi__group__news") == 1)

    with check("pubsub"):
        await bus.group_send("news", {"type": "x", "data": EVERY})
        equal([(await soon(bus.receive(name)))["data"] for name in names], [EVERY] * 2)
        await bus.send(names[0], {"type": "y"})
        equal(await soon(bus.receive(names[0])), {"type": "y"})
        await bus.group_discard("news", names[0])
        await bus.group_send("news", {"type": "z"})
        equal(await soon(bus.receive(names[1])), {"type": "z"})
        await silent(bus, names[0])

    with check("concurrent"):
        await asyncio.gather(*(bus.send(names[1], {"type": "x", "n": n}) for n in range(50)))
        equal(sorted([(await soon(bus.receive(names[1])))["n"] for _ in range(50)]), list(range(50)))

    with check("reconnect"):
        kill_others()
        # It is told, rests for a second, and subscribes anew by itself.
        await asyncio.get_running_loop().run_in_executor(None, eventually, lambda: subscribers("asgi__group__news") == 1)
        for _ in range(200):
            try:
                await bus.group_send("news", {"type": "again"})
                break
            except redis.ConnectionError:
                await asyncio.sleep(0.01)
        equal(await soon(bus.receive(names[1])), {"type": "again"})

    with check("flush"):
        await bus.flush()
        eventually(lambda: subscribers("asgi__group__news") == 0)


async def main():
    version(metadata.version("channels-redis"))
    await {"core": core, "pubsub": pubsub}[sys.argv[1]]()
    skip("resp3", "by redis-py 4, which speaks RESP2 only")
    finish()


asyncio.run(main())
