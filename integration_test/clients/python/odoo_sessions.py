"""Odoo's session add-ons, by the store of examples/odoo: saves by SET and EXPIRE, or by SETEX with the argument `setex`."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import redis

from tap import URL, check, equal, eventually, finish, no_ttl, ttl_between, version

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../examples/odoo"))

import leak  # noqa: E402
from session_store import ANONYMOUS, DELETION_TIMER, IDENTIFIER, USER, Session, SessionStore, generate_key  # noqa: E402

version("redis-py " + metadata.version("redis"))
r = redis.Redis.from_url(URL)
store = SessionStore(r, setex=sys.argv[1:] == ["setex"])
LOGIN = {"uid": 2, "login": "admin", "context": {"tz": "Europe/Brussels", "lang": "en_US"}}


def lives(session):
    return r.ttl(store.key(session.sid))


def log_in():
    session = store.new()
    session.update(LOGIN)
    store.save(session)
    return session


with check("create"):
    visitor = store.new()
    equal((len(visitor.sid), store.get(visitor.sid)), (84, {}))
    store.save(visitor)
    equal(r.exists(store.key(visitor.sid)), 1)

with check("expiry"):
    ttl_between(lives(visitor), ANONYMOUS - 5, ANONYMOUS)
    user = log_in()
    ttl_between(lives(user), USER - 5, USER)
    monitor = Session(generate_key(), {"uid": 3, "expiration": 60})
    store.save(monitor)
    ttl_between(lives(monitor), 55, 60)

with check("read"):
    equal(store.get(user.sid), LOGIN)
    ttl_between(lives(user), USER - 5, USER)  # reading prolongs nothing

with check("refresh"):
    r.expire(store.key(user.sid), 60)
    user["trace"] = time.time()  # what Odoo writes once an hour
    store.save(user)
    ttl_between(lives(user), USER - 5, USER)
    equal(r.expire(store.key(user.sid), USER), True)  # add-ons with a timeout on inactivity, at each request
    ttl_between(lives(user), USER - 5, USER)

with check("rotate"):
    old = visitor.sid
    visitor.update(LOGIN)
    store.rotate(visitor)
    equal((store.get(visitor.sid), store.get(old), r.exists(store.key(old))), (LOGIN, {}, 0))
    ttl_between(lives(visitor), USER - 5, USER)

with check("soft-rotation"):
    old = visitor.sid
    store.rotate(visitor, soft=True)
    equal((visitor.sid != old, visitor.sid[:IDENTIFIER] == old[:IDENTIFIER]), (True, True))
    ttl_between(r.ttl(store.key(old)), DELETION_TIMER - 5, DELETION_TIMER)
    ttl_between(lives(visitor), USER - 5, USER)
    late = store.get(old)  # a request that was under way
    equal((late["uid"], late["next_sid"]), (2, visitor.sid))
    store.rotate(late, soft=True)
    equal(late.sid, visitor.sid)

with check("logout"):
    leaving = log_in()
    store.delete(leaving)
    equal((store.get(leaving.sid), r.exists(store.key(leaving.sid))), ({}, 0))

with check("expired"):
    brief = log_in()
    r.pexpire(store.key(brief.sid), 20)
    eventually(lambda: r.exists(store.key(brief.sid)) == 0)
    equal(store.get(brief.sid), {})

with check("listing"):
    people = [log_in() for _ in range(50)]
    listed = store.list()
    equal({session.sid for session in people} <= set(listed), True)
    equal(all(len(sid) == 84 for sid in listed), True)
    equal(set(store.redis.scan_iter(match="session:*", count=100)), set(r.keys("session:*")))

with check("devices"):
    identifiers = [session.sid[:IDENTIFIER] for session in people[:5]]
    equal(store.missing(identifiers + ["x" * IDENTIFIER]), {"x" * IDENTIFIER})
    store.delete_devices(identifiers)
    equal((store.missing(identifiers), len(store.list())), (set(identifiers), len(listed) - 5))

with check("parallel"):
    shared = log_in()
    with ThreadPoolExecutor(20) as threads:
        equal(list(threads.map(lambda _: store.get(shared.sid), range(20))), [LOGIN] * 20)
        list(threads.map(lambda n: store.save(Session(shared.sid, {**LOGIN, "n": n})), range(20)))
    equal(store.get(shared.sid)["uid"], 2)
    ttl_between(lives(shared), USER - 5, USER)

with check("prefix"):
    branch = SessionStore(r, prefix="session::branch:")  # with both colons, as the add-on makes it
    session = branch.new()
    branch.save(session)
    equal((branch.list(), branch.get(session.sid)), ([session.sid], {}))

with check("start"):
    equal(b"expire" in r.execute_command("COMMAND LIST"), True)  # an add-on refuses to start without
    equal((r.ping(), r.dbsize() >= 40, r.exists(store.key(shared.sid))), (True, True, 1))

with check("leak-plain-set"):
    no_ttl(r.ttl(leak.as_in_the_report(r)))  # under rules it expires like any other

with check("leak-killed-worker"):
    no_ttl(r.ttl(leak.of_a_killed_worker(URL)))

finish()
