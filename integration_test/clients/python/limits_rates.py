"""limits, the rate limiter behind Flask-Limiter and SlowAPI: counters and windows by scripts that declare their keys."""

from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import limits
import redis
from limits.storage import storage_from_string
from limits.strategies import FixedWindowElasticExpiryRateLimiter, FixedWindowRateLimiter, MovingWindowRateLimiter

from tap import RULES, URL, Differs, check, equal, finish, raises, ttl_between, version

version(metadata.version("limits"))
behind = redis.Redis.from_url(URL)
storage = storage_from_string(URL)
MINUTE = limits.parse("5/minute")

with check("connect"):
    equal(storage.check(), True)


def five_of_seven(strategy, name):
    limiter = strategy(storage)
    equal([limiter.hit(MINUTE, name) for _ in range(7)], [True] * 5 + [False] * 2)
    equal((limiter.test(MINUTE, name), limiter.get_window_stats(MINUTE, name)[1]), (False, 0))
    equal(limiter.hit(MINUTE, name + ":other"), True)


with check("script"):
    five_of_seven(MovingWindowRateLimiter, "moving")

with check("counter"):
    five_of_seven(FixedWindowRateLimiter, "fixed")
    five_of_seven(FixedWindowElasticExpiryRateLimiter, "elastic")

with check("expiry"):
    keys = behind.keys("LIMITER*")
    equal(len(keys), 6)
    for key in keys:
        ttl_between(behind.ttl(key), 50, 61)

with check("concurrent"):
    limiter = MovingWindowRateLimiter(storage)
    hundred = limits.parse("100/hour")
    with ThreadPoolExecutor(50) as threads:
        equal(sum(threads.map(lambda _: limiter.hit(hundred, "crowd"), range(200))), 100)

with check("scan"):
    if RULES:  # a script that runs KEYS would see what others have
        raises(redis.ResponseError, "can't run this command", storage.reset)
        raise Differs("refused in a namespace: reset runs KEYS in a script")
    equal((storage.reset(), behind.keys("LIMITER*")), (7, []))

finish()
