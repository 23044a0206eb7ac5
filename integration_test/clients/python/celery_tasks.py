"""Celery with Redis as its broker (kombu: lists, blocking pops, acknowledgements in MULTI, bindings in sets) and for results.

Results are polled: get() subscribes, doesn't wait for the reply, and takes it that nothing published over another connection gets
ahead of that, which Redis doesn't promise.
"""

import logging
import threading
from datetime import timedelta

import celery
import redis
from celery import Celery, chord, group
from celery.contrib.testing.worker import start_worker

from tap import URL, check, equal, eventually, finish, ttl_between, version

app = Celery("matrix", broker=URL, backend=URL)
app.conf.update(result_expires=timedelta(hours=1), broker_connection_retry=True, worker_hijack_root_logger=False,
                task_acks_late=True, worker_redirect_stdouts=False)
r = redis.Redis.from_url(URL)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def fail():
    raise ValueError("as told")


def answer(result, seconds=30):
    eventually(result.ready, seconds)
    return result.result


def main():
    logging.disable(logging.CRITICAL)
    version(celery.__version__)

    with check("list-set"):
        waiting = add.delay(1, 1)
        equal((r.llen("celery"), r.smembers("_kombu.binding.celery") != set()), (1, True))

    with start_worker(app, pool="threads", concurrency=4, perform_ping_check=False, shutdown_timeout=20):
        with check("blocking"):
            equal(answer(waiting), 2)

        with check("expiry"):
            result = add.delay(1, 2)
            equal(answer(result), 3)
            ttl_between(r.ttl("celery-task-meta-" + result.id), 3590, 3600)

        with check("concurrent"):
            many = group(add.s(n, n) for n in range(50)).apply_async()
            eventually(many.ready, 30)
            equal([each.result for each in many.results], [2 * n for n in range(50)])

        with check("transaction"):
            equal(answer(chord((add.s(n, 1) for n in range(10)), total.s()).apply_async()), 55)

        with check("countdown"):
            equal(answer(add.apply_async((4, 4), countdown=1)), 8)
            eventually(lambda: r.hlen("unacked") == 0 and r.zcard("unacked_index") == 0)

        with check("error"):
            failed = answer(fail.delay())
            equal((type(failed), str(failed)), (ValueError, "as told"))

        with check("reconnect"):
            mine = r.client_id()
            for client in r.client_list():
                if int(client["id"]) != mine:
                    r.client_kill_filter(_id=client["id"])
            answers = []

            def ask():
                try:
                    answers.append(answer(add.delay(5, 5), 5))
                except (redis.RedisError, AssertionError, OSError, celery.exceptions.OperationalError):
                    pass
                return 10 in answers
            eventually(ask, 30)
        add.apply_async((1, 1), countdown=300)
    finish()


threading.excepthook = lambda args: None
main()
