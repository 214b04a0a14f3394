"""A ring says "now"; it is coalesced, waits for the commit, and never fails its caller."""

import pytest
from flask import Flask
from rq import Queue
from rq.serializers import JSONSerializer

from crm import doorbell
from crm.db import atomic
from crm.extensions import RedisClient, redis_client


def waiting(queue: str) -> list[tuple[str, tuple]]:
    jobs = Queue(queue, connection=redis_client.client, serializer=JSONSerializer).jobs
    return [(job.func_name, tuple(job.args)) for job in jobs]


def test_a_ring_waits_for_the_commit(app: Flask) -> None:
    with atomic():
        doorbell.ring_on_commit("messages.deliver", 7)
        assert waiting("delivery") == []
    assert waiting("delivery") == [("crm.jobs.messages.deliver", (7,))]


def test_a_rollback_rings_nobody(app: Flask) -> None:
    def fail_after_ringing() -> None:
        with atomic():
            doorbell.ring_on_commit("messages.deliver", 7)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_ringing()
    assert waiting("delivery") == []


def test_rings_for_the_same_work_are_one_until_the_job_starts(app: Flask) -> None:
    assert doorbell.ring("messages.deliver", 7)
    assert not doorbell.ring("messages.deliver", 7)
    assert doorbell.ring("messages.deliver", 8)
    doorbell.clear_ring("messages.deliver", 7)
    assert doorbell.ring("messages.deliver", 7)
    assert len(waiting("delivery")) == 3


def test_a_typo_fails_at_the_caller(app: Flask) -> None:
    with pytest.raises(LookupError, match=r"no job is called 'message\.deliver'"):
        doorbell.ring("message.deliver", 1)


def test_a_job_clears_its_ring_before_it_works(app: Flask) -> None:
    seen = []

    @doorbell.job("messages.deliver")
    def deliver(key: int | str) -> None:
        seen.append(doorbell.ring("messages.deliver", key))

    doorbell.ring("messages.deliver", 7)
    deliver(7)
    assert seen == [True]


def test_with_redis_away_a_ring_is_lost_quietly(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = RedisClient()
    dead.bind("redis://127.0.0.1:9")
    monkeypatch.setattr(redis_client, "_client", dead.client)
    assert not doorbell.ring("messages.deliver", 7)
    doorbell.clear_ring("messages.deliver", 7)


def test_every_job_name_has_its_function(app: Flask) -> None:
    import importlib

    for name, spec in doorbell.JOBS.items():
        module, _, function = name.partition(".")
        found = getattr(importlib.import_module(f"crm.jobs.{module}"), function)
        assert found.job_name == name
        assert spec.queue in doorbell.QUEUES
