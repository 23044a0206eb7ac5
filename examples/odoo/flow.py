"""A day of Odoo's sessions: `flow.py URL` against a Redis or a Sessiongate."""

import sys

import redis

from session_store import IDENTIFIER, SessionStore


def main():
    r = redis.Redis.from_url(sys.argv[1])
    store = SessionStore(r)

    def lives(sid):
        return r.ttl(store.key(sid))

    session = store.new()
    store.save(session)
    print("a visitor comes:           TTL", lives(session.sid))

    visitor = session.sid
    session.update(uid=2, login="admin", context={"tz": "Europe/Brussels", "lang": "en_US"})
    store.rotate(session)
    print("logs in, under a new id:   TTL", lives(session.sid), "and the old one", "lives on" if r.exists(store.key(visitor)) else "is gone")

    print("the next request reads:   ", store.get(session.sid)["login"])

    old = session.sid
    store.rotate(session, soft=True)
    print("three hours later, Odoo 19 rotates softly:")
    print("  the new session:         TTL", lives(session.sid))
    print("  the old one:             TTL", lives(old), "which names the new:", store.get(old)["next_sid"] == session.sid)

    print("sessions listed by KEYS:  ", len(store.list()))
    device = session.sid[:IDENTIFIER]
    print("devices without a session:", len(store.missing([device, "x" * IDENTIFIER])), "of 2")
    store.delete_devices([device])
    print("the user ends the device: ", len(store.list()), "left, and a request with its cookie finds", dict(store.get(session.sid)))


if __name__ == "__main__":
    main()
