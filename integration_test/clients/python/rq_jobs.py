"""RQ, a queue of jobs: pipelines with WATCH, blocking pops, hashes and sorted sets."""

import os
import sys
import threading
from importlib import metadata

import redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.registry import FinishedJobRegistry, StartedJobRegistry

from tap import URL, check, equal, finish, no_ttl, raises, ttl_between, version

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
r = redis.Redis.from_url(URL)


def double(n):
    return n * 2


def fail():
    raise ValueError("as told")


def worker(queue):
    class Quiet(SimpleWorker):
        def _install_signal_handlers(self):
            pass
    return Quiet([queue], connection=r)


def main():
    import rq_jobs as jobs  # workers import functions by name
    version(metadata.version("rq"))
    queue = Queue("work", connection=r)

    with check("connect"):
        equal((queue.is_empty(), queue.count), (True, 0))

    with check("list-set"):
        made = [queue.enqueue(jobs.double, n, result_ttl=500) for n in range(10)]
        equal((queue.count, queue.job_ids), (10, [job.id for job in made]))
        equal(worker(queue).work(burst=True), True)
        equal(([job.refresh() or job.result for job in made], queue.count), ([n * 2 for n in range(10)], 0))

    with check("expiry"):
        ttl_between(r.ttl(made[0].key), 490, 500)
        waiting = queue.enqueue(jobs.double, 1)
        no_ttl(r.ttl(waiting.key))  # a job that waits, waits for ever

    with check("hash"):
        equal(Job.fetch(made[3].id, connection=r).return_value(), 6)
        equal((len(FinishedJobRegistry(queue=queue)), len(StartedJobRegistry(queue=queue))), (10, 0))

    with check("watch"):
        first = queue.enqueue(jobs.double, 5)
        second = queue.enqueue(jobs.double, 6, depends_on=first)
        equal(second.get_status(), "deferred")
        worker(queue).work(burst=True)
        second.refresh()
        equal((second.get_status(), second.result), ("finished", 12))

    with check("error"):
        broken = queue.enqueue(jobs.fail)
        worker(queue).work(burst=True)
        equal((broken.get_status(), "as told" in Job.fetch(broken.id, connection=r).exc_info), ("failed", True))

    with check("blocking"):
        late = Queue("late", connection=redis.Redis.from_url(URL))
        threading.Timer(0.3, late.enqueue, (jobs.double, 21)).start()
        equal(Queue.lpop(["rq:queue:late"], 5, connection=r)[0], b"rq:queue:late")

    with check("delete"):
        job = queue.enqueue(jobs.double, 1)
        job.delete()
        equal((r.exists(job.key), queue.count), (0, 0))
        raises(Exception, "No such job", Job.fetch, job.id, connection=r)

    finish()


if __name__ == "__main__":
    main()
