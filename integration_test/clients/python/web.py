"""A web application of any framework over real HTTP, and the checks that every session library has to pass.

The application answers JSON: GET / says what is in the session and writes nothing; POST /login?user=NAME, /count and /rotate write,
/logout ends the session.
"""

import http.client
import http.cookiejar
import json
import socketserver
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import redis

from tap import URL, check, equal, eventually, skip, ttl_between

behind = redis.Redis.from_url(URL)  # looks at what the library has written


class _Threads(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def serve_wsgi(app):
    """Serve on a free port until the program ends; return the address."""
    server = make_server("127.0.0.1", 0, app, _Threads, _Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def serve_asgi(app):
    import uvicorn
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    threading.Thread(target=server.run, daemon=True).start()
    eventually(lambda: server.started)
    return "http://127.0.0.1:%d" % server.servers[0].sockets[0].getsockname()[1]


class Browser:
    def __init__(self, address, cookie):
        self.address, self.cookie = address, cookie
        self.jar = http.cookiejar.CookieJar()

    def ask(self, method, path):
        request = urllib.request.Request(self.address + path, method=method, data=b"" if method == "POST" else None)
        self.jar.add_cookie_header(request)
        host = self.address[len("http://"):]
        connection = http.client.HTTPConnection(host, timeout=20)
        connection.request(method, path, headers=dict(request.header_items()))
        response = connection.getresponse()
        body = response.read()
        self.jar.extract_cookies(response, request)
        connection.close()
        if response.status != 200:
            raise AssertionError(f"{method} {path}: status {response.status}: {body[:200]!r}")
        return json.loads(body)

    def get(self, path="/"):
        return self.ask("GET", path)

    def post(self, path):
        return self.ask("POST", path)

    @property
    def sid(self):
        for cookie in self.jar:
            if cookie.name == self.cookie:
                return cookie.value
        return None

    def with_cookie(self, value):
        """Another browser that has the cookie of this value."""
        other = Browser(self.address, self.cookie)
        for cookie in self.jar:
            if cookie.name == self.cookie:
                other.jar.set_cookie(http.cookiejar.Cookie(
                    0, cookie.name, value, None, False, cookie.domain, cookie.domain_specified,
                    cookie.domain_initial_dot, cookie.path, True, False, None, False, None, None, {}))
        return other


def session_checks(address, cookie, key, age, slides_on_read=False, rotates=True, kept_elsewhere=False, empties=False):
    """The checks of a session library, in order.

    key makes the name in Redis of a session id, age is the expiry in seconds that the library gives. A session that is kept
    elsewhere too comes back when Redis has lost it. A library that empties a session at logout leaves its key.
    """
    def fresh(sid):
        ttl_between(behind.ttl(key(sid)), age - 30, age)

    anna = Browser(address, cookie)

    with check("create"):
        equal(anna.get()["user"], None)
        anna.post("/login?user=anna")
        equal((anna.sid is not None, behind.exists(key(anna.sid))), (True, 1))

    with check("expiry"):
        fresh(anna.sid)

    with check("read"):
        equal(anna.get(), {"user": "anna", "count": 0})
        equal(Browser(address, cookie).get()["user"], None)
        equal(anna.with_cookie("0" * 32).get()["user"], None)

    with check("refresh"):
        behind.expire(key(anna.sid), 60)
        equal(anna.post("/count")["count"], 1)
        fresh(anna.sid)
        behind.expire(key(anna.sid), 60)
        equal(anna.get()["count"], 1)
        if slides_on_read:
            fresh(anna.sid)
        else:
            ttl_between(behind.ttl(key(anna.sid)), 30, 60)

    if rotates:
        with check("rotate"):
            old = anna.sid
            anna.post("/rotate")
            equal((anna.sid != old, behind.exists(key(old)), behind.exists(key(anna.sid))), (True, 0, 1))
            equal(anna.get(), {"user": "anna", "count": 1})
            equal(anna.with_cookie(old).get()["user"], None)
            fresh(anna.sid)
    else:
        skip("rotate", "the library has no call for a new id")

    with check("logout"):
        old = anna.sid
        stolen = anna.with_cookie(old)
        anna.post("/logout")
        equal(behind.exists(key(old)), 1 if empties else 0)
        equal((anna.get()["user"], stolen.get()["user"]), (None, None))

    with check("expired"):
        ben = Browser(address, cookie)
        ben.post("/login?user=ben")
        behind.pexpire(key(ben.sid), 20)
        eventually(lambda: behind.exists(key(ben.sid)) == 0)
        equal(ben.get()["user"], "ben" if kept_elsewhere else None)

    with check("parallel"):
        carl = Browser(address, cookie)
        carl.post("/login?user=carl")
        twins = [carl.with_cookie(carl.sid) for _ in range(20)]
        with ThreadPoolExecutor(20) as threads:
            equal([got["user"] for got in threads.map(lambda twin: twin.get(), twins)], ["carl"] * 20)
            # Who writes last wins, as ever; but nobody loses the session.
            equal([got["user"] for got in threads.map(lambda twin: twin.post("/count"), twins)], ["carl"] * 20)
        equal((carl.get()["user"], carl.get()["count"] >= 1), ("carl", True))

    with check("many"):
        people = [Browser(address, cookie) for _ in range(20)]
        with ThreadPoolExecutor(20) as threads:
            list(threads.map(lambda n: people[n].post(f"/login?user=user{n}"), range(20)))
            equal([got["user"] for got in threads.map(lambda b: b.get(), people)], [f"user{n}" for n in range(20)])
        equal(len({person.sid for person in people}), 20)
