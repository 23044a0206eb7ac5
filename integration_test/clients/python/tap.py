"""The checks of a program as TAP, and the environment in which the matrix runs it."""

import contextlib
import os
import sys
import time
import traceback

HOST = os.environ["REDIS_HOST"]
PORT = int(os.environ["REDIS_PORT"])
PASSWORD = os.environ.get("REDIS_PASSWORD") or None
URL = os.environ["REDIS_URL"]
SCRATCH = os.environ["SCRATCH"]
RULES = os.environ["MODE"] == "rules"

MAX = 43200  # seconds that a key may live in mode rules

_done = _failed = 0


class Skip(Exception):
    """The library doesn't offer what the check is about."""


class Differs(Exception):
    """What Redis does is not done here, which is known; the check has seen that it is so."""


@contextlib.contextmanager
def check(name):
    """Run the block as the check of this name; a failure is told, and the program goes on."""
    global _done, _failed
    _done += 1
    try:
        yield
    except Skip as skip:
        print(f"ok - {name} # SKIP {skip}", flush=True)
    except Differs as known:
        print(f"not ok - {name}: {known} # TODO", flush=True)
    except Exception as error:
        _failed += 1
        where = traceback.extract_tb(error.__traceback__)[-1]
        why = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
        print(f"not ok - {name}: {why} (at {os.path.basename(where.filename)}:{where.lineno})", flush=True)
        traceback.print_exc()
    else:
        print(f"ok - {name}", flush=True)


def skip(name, why):
    with check(name):
        raise Skip(why)


def differs(name, why):
    with check(name):
        raise Differs(why)


def version(text):
    print(f"# version {text}", flush=True)


def finish():
    """Print the plan and exit, whatever threads a library has left running."""
    print(f"1..{_done}", flush=True)
    sys.stderr.flush()
    os._exit(1 if _failed else 0)


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r:.120}, want {want!r:.120}")


def ttl_between(got, low, high):
    """Redis's expectation of a TTL in seconds, which a slow machine sees later; under rules it is only known to be within the rule."""
    if low > 0:
        low = max(1, low - 15)
    if RULES:
        low, high = 1, MAX
    if not low <= got <= high:
        raise AssertionError(f"TTL {got}, want {low} to {high}")


def no_ttl(got):
    ttl_between(got, -1, -1)


def raises(kind, text, call, *args, **kwargs):
    """The call fails with an error of this kind that has the text in it."""
    try:
        result = call(*args, **kwargs)
    except kind as error:
        if text not in str(error):
            raise AssertionError(f"error {error!r}, want {text!r} in it") from error
        return
    raise AssertionError(f"got {result!r:.120}, want {kind.__name__} {text!r}")


def eventually(condition, seconds=10):
    """Wait until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"did not come true within {seconds} s")
        time.sleep(0.01)
