"""Server-side sessions by redis-py's asyncio side, as starsessions has them, behind `starlette` or `fastapi` under uvicorn."""

import json
import secrets
import sys
from importlib import metadata

import redis.asyncio as redis

from tap import URL, check, equal, finish, ttl_between, version
from web import Browser, behind, serve_asgi, session_checks

framework = sys.argv[1]
AGE = 14 * 86400
PREFIX = "starsessions."


class Sessions:
    """ASGI middleware: request.session comes from Redis and goes back if it has changed, or slides on each read."""

    def __init__(self, app):
        self.app, self.store = app, redis.from_url(URL)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        from starlette.requests import HTTPConnection
        sid = HTTPConnection(scope).cookies.get("session", "")
        stored = await self.store.get(PREFIX + sid) if sid else None
        scope["session"] = json.loads(stored) if stored else {}
        scope["renew"] = False

        async def send_with_cookie(message):
            if message["type"] == "http.response.start":
                cookie = await self.save(sid, stored, scope)
                if cookie is not None:
                    message.setdefault("headers", []).append((b"set-cookie", cookie.encode()))
            await send(message)

        await self.app(scope, receive, send_with_cookie)

    async def save(self, sid, stored, scope):
        session = scope["session"]
        if not session:
            if stored:
                await self.store.delete(PREFIX + sid)
            return "session=; path=/; max-age=0" if sid else None
        if scope["renew"] or not stored:
            if stored:
                await self.store.delete(PREFIX + sid)
            sid = secrets.token_hex(16)
        await self.store.set(PREFIX + sid, json.dumps(session), ex=AGE)
        return f"session={sid}; path=/; httponly; max-age={AGE}"


def answer(session):
    return {"user": session.get("user"), "count": session.get("count", 0)}


async def home(request):
    return answer(request.session)


async def login(request):
    request.session.update(user=request.query_params["user"], count=0)
    request.scope["renew"] = True
    return answer(request.session)


async def count(request):
    request.session["count"] += 1
    return answer(request.session)


async def rotate(request):
    request.scope["renew"] = True
    return answer(request.session)


async def logout(request):
    request.session.clear()
    return answer(request.session)


ROUTES = [("GET", "/", home), ("POST", "/login", login), ("POST", "/count", count), ("POST", "/rotate", rotate),
          ("POST", "/logout", logout)]


def application():
    if framework == "fastapi":
        from fastapi import FastAPI, Request
        app = FastAPI()
        for method, path, endpoint in ROUTES:
            endpoint.__annotations__["request"] = Request
            app.api_route(path, methods=[method])(endpoint)
    else:
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse
        app = Starlette()

        def responding(endpoint):
            async def respond(request):
                return JSONResponse(await endpoint(request))
            return respond

        for method, path, endpoint in ROUTES:
            app.add_route(path, responding(endpoint), methods=[method])
    app.add_middleware(Sessions)
    return app


version(metadata.version(framework) + " + " + metadata.version("redis"))
address = serve_asgi(application())
session_checks(address, "session", lambda sid: PREFIX + sid, AGE, slides_on_read=True)

with check("listing"):
    hal = Browser(address, "session")
    hal.post("/login?user=hal")
    users = [json.loads(behind.get(key))["user"] for key in behind.scan_iter(match=PREFIX.replace(".", "[.]") + "*")]
    equal((users.count("hal"), users.count("anna")), (1, 0))
    ttl_between(behind.ttl(PREFIX + hal.sid), AGE - 30, AGE)

finish()
