"""Django behind its WSGI handler, with sessions as the argument says: `cache`, `cached_db` (both django-redis) or `redis_sessions`."""

import sys
from importlib import metadata

import django
from django.conf import settings

from tap import HOST, PASSWORD, PORT, SCRATCH, URL, check, equal, finish, no_ttl, ttl_between, version

engine = sys.argv[1]
AGE = 1209600  # Django's SESSION_COOKIE_AGE

settings.configure(
    SECRET_KEY="secret", ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__, USE_TZ=True,
    INSTALLED_APPS=["django.contrib.sessions"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": SCRATCH + "/db.sqlite3"}},
    CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": URL, "KEY_PREFIX": "shop"}},
    SESSION_ENGINE={"cache": "django.contrib.sessions.backends.cache",
                    "cached_db": "django.contrib.sessions.backends.cached_db",
                    "redis_sessions": "redis_sessions.session"}[engine],
    SESSION_REDIS={"host": HOST, "port": PORT, "password": PASSWORD, "prefix": "session", "socket_timeout": 5},
)
django.setup()

from django.core.cache import cache  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

from web import Browser, behind, serve_wsgi, session_checks  # noqa: E402


def answer(session):
    return JsonResponse({"user": session.get("user"), "count": session.get("count", 0)})


def home(request):
    return answer(request.session)


def login(request):
    request.session.cycle_key()  # as django.contrib.auth does
    request.session.update({"user": request.GET["user"], "count": 0})
    return answer(request.session)


def count(request):
    request.session["count"] += 1
    return answer(request.session)


def rotate(request):
    request.session.cycle_key()
    return answer(request.session)


def logout(request):
    request.session.flush()
    return answer(request.session)


def browser_session(request):
    request.session.set_expiry(600)
    return answer(request.session)


urlpatterns = [path("", home), path("login", login), path("count", count), path("rotate", rotate),
               path("logout", logout), path("brief", browser_session)]

KEY = {"cache": "shop:1:django.contrib.sessions.cache",
       "cached_db": "shop:1:django.contrib.sessions.cached_db",
       "redis_sessions": "session:"}[engine]


def of_the_cache():
    with check("cache"):
        cache.clear()
        cache.set("a", {"x": 1}, 100)
        equal((cache.get("a"), cache.get("b", "none"), "a" in cache), ({"x": 1}, "none", True))
        ttl_between(cache.ttl("a"), 98, 100)
        equal((cache.add("a", 2), cache.add("b", 2, 100), cache.get("b")), (False, True, 2))
        cache.set_many({"c": 3, "d": b"\x00\xff"}, 100)
        equal(cache.get_many(["b", "c", "d", "e"]), {"b": 2, "c": 3, "d": b"\x00\xff"})
        equal((cache.incr("c"), cache.decr("c", 3), cache.incr_version("c"), cache.get("c", version=2)), (4, 1, 2, 1))
        equal((cache.touch("a", 200), cache.touch("nothing", 200)), (True, False))
        ttl_between(cache.ttl("a"), 198, 200)
        equal(cache.get_or_set("g", lambda: "made", 100), "made")
        equal((cache.delete("a"), cache.delete_many(["b", "d"]), cache.get("a")), (True, 2, None))

    with check("never-expires"):
        cache.set("n", 1, timeout=None)
        no_ttl(behind.ttl("shop:1:n"))
        cache.set("n", 1, 100)
        equal(cache.persist("n"), True)
        no_ttl(behind.ttl("shop:1:n"))
        cache.set("n", 1, 100)
        equal(cache.touch("n", None), True)
        no_ttl(behind.ttl("shop:1:n"))
        cache.set("n", 1, timeout=0)
        equal(cache.get("n"), None)

    with check("listing"):
        cache.set_many({f"list:{i}": i for i in range(50)}, 100)
        equal(len(list(cache.iter_keys("list:*", itersize=10))), 50)
        equal(sorted(cache.keys("list:1?")), [f"list:{i}" for i in range(10, 20)])
        equal((cache.delete_pattern("list:*", itersize=10), cache.keys("list:*")), (50, []))

    with check("lock"):
        with cache.lock("job_LOCK", timeout=30):
            ttl_between(behind.ttl("shop:1:job_LOCK"), 28, 30)
            equal(cache.lock("job_LOCK", timeout=30).acquire(blocking=False), False)
        equal(behind.exists("shop:1:job_LOCK"), 0)

    with check("clear"):
        cache.set("x", 1, 100)
        cache.clear()
        equal((cache.get("x"), behind.dbsize()), (None, 0))


text = django.get_version()
if engine == "redis_sessions":
    text += " + " + metadata.version("django-redis-sessions")
else:
    text += " + " + metadata.version("django-redis")
version(text)

if engine == "cached_db":
    call_command("migrate", verbosity=0)
if engine == "cache":
    of_the_cache()

address = serve_wsgi(WSGIHandler())
if engine == "cached_db":
    # What Redis has lost is read from the database again: a session ends when both have ended it.
    with check("database"):
        dora = Browser(address, "sessionid")
        dora.post("/login?user=dora")
        behind.delete(KEY + dora.sid)
        equal((dora.get()["user"], behind.exists(KEY + dora.sid)), ("dora", 1))
        old = dora.with_cookie(dora.sid)
        dora.post("/logout")
        equal((old.get()["user"], behind.exists(KEY + old.sid if old.sid else "none")), (None, 0))

session_checks(address, "sessionid", lambda sid: KEY + sid, AGE, kept_elsewhere=engine == "cached_db")

with check("set_expiry"):
    emil = Browser(address, "sessionid")
    emil.post("/login?user=emil")
    emil.post("/brief")
    ttl_between(behind.ttl(KEY + emil.sid), 590, 600)

finish()
