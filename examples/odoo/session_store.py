"""Sessions of Odoo in Redis, by the commands that its add-ons send: no add-on's code, but what one sees on the wire."""

import base64
import hashlib
import json
import os
import time

USER = 7 * 24 * 3600  # seconds that a session with a user lives, odoo/http.py's SESSION_LIFETIME
ANONYMOUS = 3 * 3600
DELETION_TIMER = 120  # seconds that Odoo 19 keeps a session that it has rotated, for requests that are under way
IDENTIFIER = 42  # characters of an id that stay the same in a soft rotation


def generate_key():
    """84 characters, as Odoo has made its ids since 16."""
    digest = hashlib.sha512(str(time.time()).encode() + os.urandom(64)).digest()
    return base64.urlsafe_b64encode(digest[:-1]).decode()


class Session(dict):
    def __init__(self, sid, data=()):
        super().__init__(data)
        self.sid = sid


class SessionStore:
    """The calls that odoo/http.py makes of its session store. With setex a save is one command, else two."""

    def __init__(self, redis, prefix="session:", setex=False):
        self.redis, self.prefix, self.setex = redis, prefix, setex

    def key(self, sid):
        return self.prefix + sid

    def new(self):
        return Session(generate_key())

    def get(self, sid):
        """The session of that id; an empty one under the same id if there is none, as in Odoo."""
        stored = self.redis.get(self.key(sid))
        return Session(sid, json.loads(stored) if stored else ())

    def lifetime(self, session):
        if "deletion_time" in session:
            return max(1, round(session["deletion_time"] - time.time()))
        return session.get("expiration") or (USER if session.get("uid") else ANONYMOUS)

    def save(self, session):
        value, seconds = json.dumps(dict(session)), self.lifetime(session)
        if self.setex:
            self.redis.setex(self.key(session.sid), seconds, value)
        else:
            self.redis.set(self.key(session.sid), value)
            self.redis.expire(self.key(session.sid), seconds)

    def delete(self, session):
        self.redis.delete(self.key(session.sid))

    def rotate(self, session, soft=False):
        """A new id: at login, logout and a new password, or, soft, every three hours in Odoo 19."""
        if not soft:
            self.delete(session)
            session.sid = generate_key()
            return self.save(session)
        stored = self.get(session.sid)
        if "next_sid" in stored:  # another request was first
            session.sid = stored["next_sid"]
            return None
        next_sid = session.sid[:IDENTIFIER] + generate_key()[IDENTIFIER:]
        self.save(Session(session.sid, {**session, "next_sid": next_sid, "deletion_time": time.time() + DELETION_TIMER}))
        session.sid = next_sid
        return self.save(session)

    def list(self):
        """The ids of all sessions, by KEYS."""
        return [key.decode()[len(self.prefix):] for key in self.redis.keys(self.prefix + "*")]

    def missing(self, identifiers):
        """Which of these first parts of ids have no session any more, by SCAN: Odoo's list of devices asks that."""
        return {i for i in identifiers if not any(self.redis.scan_iter(match=self.key(i) + "*", count=1))}

    def delete_devices(self, identifiers):
        """End all sessions of these first parts of ids: what a user does to devices in the list."""
        keys = [key for i in identifiers for key in self.redis.scan_iter(match=self.key(i) + "*")]
        if keys:
            self.redis.delete(*keys)
