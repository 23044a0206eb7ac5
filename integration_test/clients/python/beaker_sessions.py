"""Beaker's session middleware on its Redis backend: SETEX on every request, a lock around it, and WATCH to give that back."""

import json
from importlib import metadata
from urllib.parse import parse_qs

from beaker.middleware import SessionMiddleware

from tap import URL, check, equal, finish, ttl_between, version
from web import Browser, behind, serve_wsgi, session_checks


def home(session, query):
    pass


def login(session, query):
    rotate(session, query)
    session.update(user=query["user"][0], count=0)
    session.save()


def count(session, query):
    session["count"] += 1
    session.save()


def rotate(session, query):
    old = getattr(session, "namespace", None)  # a new session has none
    session.regenerate_id()
    session.save()
    if old:
        old.remove()  # regenerate_id leaves it


def logout(session, query):
    session.delete()


AGE = 1800 + 120  # Beaker keeps a session for two minutes longer than it takes it

ROUTES = {"/": home, "/login": login, "/count": count, "/rotate": rotate, "/logout": logout}


def application(environ, start_response):
    session = environ["beaker.session"]
    ROUTES[environ["PATH_INFO"]](session, parse_qs(environ["QUERY_STRING"]))
    body = json.dumps({"user": session.get("user"), "count": session.get("count", 0)}).encode()
    start_response("200 OK", [("Content-Type", "application/json")])  # saves the session
    return [body]


def key(cookie):
    return f"beaker_cache:{cookie[40:]}:session"  # behind a signature of 40 digits


version(metadata.version("Beaker"))
address = serve_wsgi(SessionMiddleware(application, {
    "session.type": "ext:redis", "session.url": URL, "session.timeout": 1800, "session.secret": "secret",
    "session.key": "session"}))
session_checks(address, "session", key, AGE, slides_on_read=True, empties=True)

with check("locks"):
    # Each request takes a lock of 15 minutes, and gives it back.
    equal(behind.keys("beaker_lock:*"), [])
    ida = Browser(address, "session")
    ida.post("/login?user=ida")
    lock = "beaker_lock:" + key(ida.sid)
    ttl_between(behind.ttl(lock) if behind.set(lock, "x", ex=900, nx=True) else 0, 890, 900)
    behind.delete(lock)
    equal(ida.get()["user"], "ida")

finish()
