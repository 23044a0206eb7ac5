"""cachelib's RedisCache, which Flask-Caching and Flask-Session 0.6 and later keep things in."""

from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import redis
from cachelib.redis import RedisCache

from tap import HOST, PASSWORD, PORT, URL, check, equal, eventually, finish, no_ttl, raises, skip, ttl_between, version

version(metadata.version("cachelib"))
behind = redis.Redis.from_url(URL)
cache = RedisCache(HOST, PORT, PASSWORD, key_prefix="cache:")

with check("connect"):
    equal((cache.get("nothing"), RedisCache(redis.Redis.from_url(URL)).get("nothing")), (None, None))

with check("set-get"):
    for value in ("text", 7, {"a": [1, None]}, b"bytes", ("a", 1)):
        equal((cache.set("k", value), cache.get("k")), (True, value))
    equal((cache.has("k"), cache.has("nothing"), cache.delete("k"), cache.delete("k")), (True, False, True, False))

with check("binary"):
    every = bytes(range(256))
    equal((cache.set("bin", every), cache.get("bin"), cache.set("empty", b""), cache.get("empty")), (True, every, True, b""))
    equal(behind.get("cache:bin")[:1], b"!")

with check("expiry"):
    cache.set("e", "v", timeout=100)
    ttl_between(behind.ttl("cache:e"), 98, 100)
    cache.set("e", "v")
    ttl_between(behind.ttl("cache:e"), 298, 300)
    cache.set("e", "v", timeout=0)  # never, for cachelib
    no_ttl(behind.ttl("cache:e"))
    equal((cache.add("e", "w", timeout=100), cache.add("f", "w", timeout=100)), (False, True))  # SETNX, then EXPIRE
    ttl_between(behind.ttl("cache:f"), 98, 100)
    equal(cache.add("g", "w", timeout=0), True)
    no_ttl(behind.ttl("cache:g"))
    behind.pexpire("cache:g", 20)
    eventually(lambda: not cache.has("g"))
    equal(cache.get("g"), None)

with check("counter"):
    equal((cache.inc("n"), cache.inc("n", 9), cache.dec("n", 3), cache.get("n")), (1, 10, 7, 7))
    no_ttl(behind.ttl("cache:n"))

with check("multi-key"):
    equal(cache.set_many({"m:1": 1, "m:2": "b"}, timeout=100), ["m:1", "m:2"])
    equal((cache.get_many("m:1", "m:2", "m:3"), cache.get_dict("m:1")), ([1, "b", None], {"m:1": 1}))
    equal(cache.delete_many("m:1", "m:2"), ["cache:m:1", "cache:m:2"] if not cache.has("m:1") else None)

with check("pipeline"):
    equal(len(cache.set_many({f"p:{i}": i for i in range(1000)})), 1000)
    equal(cache.get_many(*[f"p:{i}" for i in range(1000)]), list(range(1000)))

with check("large"):
    value = every * 4096
    equal((cache.set("large", value), cache.get("large") == value), (True, True))

with check("error"):
    behind.rpush("cache:list", "a")
    raises(redis.ResponseError, "WRONGTYPE", cache.get, "list")

with check("concurrent"):
    with ThreadPoolExecutor(50) as threads:
        list(threads.map(lambda i: [cache.inc(f"c:{i % 5}") for _ in range(20)], range(50)))
    equal([cache.get(f"c:{i}") for i in range(5)], [200] * 5)

with check("reconnect"):
    mine = behind.client_id()
    for client in behind.client_list():
        if int(client["id"]) != mine:
            behind.client_kill_filter(_id=client["id"])
    equal((cache.set("back", 1), cache.get("back")), (True, 1))

with check("scan"):
    behind.set("other", "stays")
    equal((cache.clear(), behind.keys("cache:*"), behind.get("other")), (True, [], b"stays"))  # KEYS, then DEL of all
    cache.set("k", "v")

for name in ("hash", "list-set", "transaction", "watch", "script", "pubsub", "blocking", "resp3"):
    skip(name, "a cache has none")

finish()
