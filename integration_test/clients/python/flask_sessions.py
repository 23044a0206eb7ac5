"""Flask with Flask-Session's Redis backend (pickle), signed cookies as the argument says: `plain` or `signed`."""

import sys
from datetime import timedelta
from importlib import metadata

import flask
import redis
from flask import Flask, jsonify, request, session
from flask_session import Session

from tap import URL, check, equal, finish, ttl_between, version
from web import Browser, behind, serve_wsgi, session_checks

signed = sys.argv[1] == "signed"
AGE = 31 * 86400  # Flask's PERMANENT_SESSION_LIFETIME

app = Flask(__name__)
app.config.update(SECRET_KEY="secret", SESSION_TYPE="redis", SESSION_REDIS=redis.Redis.from_url(URL),
                  SESSION_USE_SIGNER=signed)
Session(app)


def answer():
    return jsonify(user=session.get("user"), count=session.get("count", 0))


@app.get("/")
def home():
    return answer()


@app.post("/login")
def login():
    session.update(user=request.args["user"], count=0)
    return answer()


@app.post("/count")
def count():
    session["count"] += 1
    return answer()


@app.post("/logout")
def logout():
    session.clear()
    return answer()


@app.get("/shared")
def shared():
    """Something that is not JSON, kept as pickle keeps it."""
    session["when"] = timedelta(days=1)
    return jsonify(kept=True)


def key(value):
    return "session:" + (value.split(".")[0] if signed else value)


version(flask.__version__ + " + " + metadata.version("Flask-Session"))
address = serve_wsgi(app)
session_checks(address, "session", key, AGE, slides_on_read=True, rotates=False)

with check("pickle"):
    fay = Browser(address, "session")
    fay.post("/login?user=fay")
    equal(fay.get("/shared"), {"kept": True})
    equal((fay.get()["user"], b"timedelta" in behind.get(key(fay.sid))), ("fay", True))

with check("chosen-id"):
    # An id that the browser chose is taken as it is, unless cookies are signed.
    gus = fay.with_cookie("chosen-by-the-browser")
    gus.post("/login?user=gus")
    equal(behind.exists("session:chosen-by-the-browser"), 0 if signed else 1)

with check("lifetime"):
    app.permanent_session_lifetime = timedelta(minutes=10)
    fay.get()
    ttl_between(behind.ttl(key(fay.sid)), 590, 600)

finish()
