import asyncio
import errno
import os
import sys

import httpx
import pytest

from loopwright.local.processes import Backoff, Child, Guard
from loopwright.local.services import Service


@pytest.fixture
def guard():
    guard = Guard(grace=0.2)
    yield guard
    guard.close()


def service(child, events, client=None, **given):
    options = {
        "command": lambda: [sys.executable, "-c", "import time; time.sleep(60)"],
        "environment": os.environ,
        "ready_url": lambda: "http://stand-in/ready",
        "on_event": events.append,
        "backoff": Backoff(first=30.0),
    }
    return Service(child, client, **(options | given))


def test_a_log_that_cannot_be_written_is_tried_again_after_a_while_and_not_at_each_look(tmp_path, guard, monkeypatch):
    child, events = Child("worker", tmp_path / "worker.log", guard), []

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(child.log), "open", full)
    one = service(child, events)
    for _ in range(20):
        one.tick()
    assert (one.state, one.restarts) == ("failed", 0)
    assert len(events) == 1
    assert "worker cannot be started: [Errno 28] No space left on device; starting again in 30 s" in events[0]


def test_a_process_that_the_guard_cannot_be_told_of_does_not_stay(tmp_path, monkeypatch, guard):
    child, events = Child("worker", tmp_path / "worker.log", guard), []

    def full(_group):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(guard, "add", full)
    one = service(child, events)
    one.tick()
    assert one.state == "failed"
    asyncio.run(child.stop(0))
    assert child.ended == -9


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.InvalidURL("odd"), ValueError("odd")])
def test_an_answer_that_is_none_is_asked_for_again(tmp_path, guard, error):
    asked, events = [], []

    def answer(request):
        asked.append(request)
        if len(asked) == 1:
            raise error
        return httpx.Response(200)

    async def until_ready():
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            one = service(Child("worker", tmp_path / "worker.log", guard), events, client)
            one.tick()
            async with asyncio.timeout(10):
                while one.state != "ready":
                    await asyncio.sleep(0.01)
            await one.stop(0)

    asyncio.run(until_ready())
    assert events == ["worker is ready"]
