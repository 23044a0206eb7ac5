"""Two ways in which sessions of Odoo came to live for ever: `leak.py URL` writes them to that Redis, and says for how long they stay."""

import random
import string
import sys

import redis

from session_store import Session, SessionStore, generate_key

LETTERS = string.ascii_lowercase + string.digits


def as_in_the_report(r):
    """Sessions by a plain SET, under ten random characters, without an expiry."""
    sid = "".join(random.choices(LETTERS, k=10))
    r.set(sid, str({"context": {"tz": "Europe/Brussels", "lang": "en_US"}, "session_token": "".join(random.choices(LETTERS, k=20)),
                    "login": "admin", "uid": 2}))
    return sid


class Dies(redis.Redis):
    """A worker that is killed between the two commands of a save, by a limit of memory or time, say."""

    def expire(self, *args):
        raise SystemExit("killed before EXPIRE")


def of_a_killed_worker(url):
    store = SessionStore(Dies.from_url(url))
    session = Session(generate_key(), {"uid": 2, "login": "admin"})
    try:
        store.save(session)
    except SystemExit:
        pass
    return store.key(session.sid)


def main():
    url = sys.argv[1]
    r = redis.Redis.from_url(url)
    print("plain SET, as in the report:              TTL", r.ttl(as_in_the_report(r)))
    print("SET and EXPIRE, killed between the two:   TTL", r.ttl(of_a_killed_worker(url)))


if __name__ == "__main__":
    main()
