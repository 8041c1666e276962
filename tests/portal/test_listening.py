"""A worker whose acknowledgements got lost, as when Valkey dies just then, goes on by itself."""

import os
import subprocess
import sys
import textwrap
import threading

import pytest
from celery import Celery

from portal.environment import ROOT, load

WORKER = """
    import sys
    from celery import Celery
    from celery.signals import worker_ready
    from kombu.transport import redis
    from portal import celery, listening

    worker_ready.disconnect(celery.look_around)  # this one has no database
    worker_ready.disconnect(celery.say_that_it_works)

    listening.SILENT_S, listening.LOOKS_S = 2.0, 0.3
    app = Celery("test", broker=sys.argv[1])
    app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, task_default_queue=sys.argv[2])
    app.steps["consumer"].add("portal.listening:Listening")
    acknowledge, lost = redis.QoS.ack, []

    def lose_two(self, delivery_tag):
        if len(lost) < %d:
            lost.append(delivery_tag)
            raise ConnectionError("the broker has just died")
        acknowledge(self, delivery_tag)

    redis.QoS.ack = lose_two

    @app.task(name="say", ignore_result=True)
    def say(number):
        print("task", number, flush=True)

    app.worker_main(["worker", "--pool", "threads", "--concurrency", "2", "--without-gossip", "--without-mingle"])
"""
LOST = 2


@pytest.fixture
def queue(servers):
    """A queue of this test alone, with five tasks in it."""
    name = f"listening-{os.getpid()}"
    app = Celery("test", broker=load().broker_url)
    app.conf.task_default_queue = name
    for number in range(5):
        app.send_task("say", [number], ignore_result=True)
    yield name
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(name)
    app.close()


def test_a_worker_that_lost_all_its_acknowledgements_takes_the_next_tasks(queue):
    worker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WORKER % LOST), load().broker_url, queue],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    limit = threading.Timer(60, worker.kill)
    limit.start()
    try:
        said, told = set(), []
        for line in worker.stdout:
            told.append(line)
            if line.startswith("task "):
                said.add(int(line.split()[1]))
            if len(said) > LOST:
                break
    finally:
        limit.cancel()
        worker.kill()
        worker.wait()

    assert len(said) > LOST, "".join(told)
    assert any("connecting to the broker anew" in line for line in told)
