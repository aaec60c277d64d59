import asyncio

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from loopwright.loop import Column
from loopwright.models import columns
from loopwright.serving import events
from loopwright.serving.metrics import Metrics
from loopwright.serving.post import Answer

INPUTS = columns.specs({"tenure": Column(type="integer"), "plan": Column(type="string")})


class Monitor:
    """A stand-in for the connection to a monitor, and for the monitor at its other end."""

    def __init__(self) -> None:
        self.profiles: list[bytes] = []
        self.messages: list[dict] = []
        self.calls = 0
        self.fail = 0
        self.forgets = False
        self.refuses = False
        self.hangs = False

    url = "http://monitor"

    async def __call__(self, method: str, path: str, content: bytes, kind: str) -> Answer | None:
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.fail:
            self.fail -= 1
            return None
        if method == "PUT":
            assert (path, kind) == ("/v1/profiles/3", "application/json")
            self.profiles.append(content)
            self.forgets = False
            return Answer(201, "")
        if self.forgets:
            return Answer(409, '{"error": "unknown version"}')
        if self.refuses:
            return Answer(400, '{"error": "broken"}')
        assert (method, path, kind) == ("POST", "/v1/events", "application/msgpack")
        self.messages.append(msgspec.msgpack.decode(content))
        return Answer(202, "")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def monitor(monkeypatch):
    monkeypatch.setattr(events, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(events, "FLUSH_SECONDS", 0.02)
    return Monitor()


@pytest.fixture
def metrics():
    return Metrics("churn", "3", CollectorRegistry())


def play(monitor, metrics, scenario, seconds=1.0):
    """Run the scenario against a queue whose sender runs, then close it."""

    async def run():
        queue = events.Events(monitor, "3", b"profile", INPUTS, metrics)
        sender = asyncio.create_task(queue.run())
        await scenario(queue)
        await queue.close(sender, seconds)

    asyncio.run(run())


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def add(queue, count=1, start=0):
    plan = np.array(["basic", None] * count, dtype=object)[:count]
    queue.add(f"r{start}", {"tenure": np.arange(count, dtype=float), "plan": plan}, np.full(count, 0.25))


def test_requests_are_merged_into_one_message_of_the_contracts_form(monitor, metrics):
    async def scenario(queue):
        add(queue, 2)
        queue.add_row("r2", [0.0, "basic"], 0.25)
        await until(lambda: monitor.messages)

    play(monitor, metrics, scenario)
    (message,) = monitor.messages
    assert message.pop("at") > 1.7e9
    assert message == {
        "version": "3",
        "ids": ["r0/0", "r0/1", "r2"],
        "columns": {"tenure": np.array([0.0, 1.0, 0.0]).tobytes(), "plan": ["basic", None, "basic"]},
        "predictions": np.full(3, 0.25).tobytes(),
    }
    assert monitor.profiles == [b"profile"]
    assert metrics.sent == 3


def test_requests_of_few_and_of_many_rows_and_single_ones_share_a_message(monitor, metrics):
    async def scenario(queue):
        queue.add_row("one", [7.0, None], 0.5)
        add(queue, 60, start=1)
        add(queue, 50, start=2)
        add(queue, 2, start=3)
        await until(lambda: monitor.messages)

    play(monitor, metrics, scenario)
    (message,) = monitor.messages
    expected = {"one": (7.0, None, 0.5)}
    for name, count in (("r1", 60), ("r2", 50), ("r3", 2)):
        expected |= {f"{name}/{row}": (float(row), ["basic", None][row % 2], 0.25) for row in range(count)}
    tenure, predictions = (np.frombuffer(one) for one in (message["columns"]["tenure"], message["predictions"]))
    rows = zip(tenure.tolist(), message["columns"]["plan"], predictions.tolist(), strict=True)
    assert dict(zip(message["ids"], rows, strict=True)) == expected
    assert metrics.sent == len(message["ids"]) == 113


def test_the_profile_is_put_again_until_the_monitor_answers_and_nothing_is_lost_meanwhile(monitor, metrics):
    monitor.fail = 3

    async def scenario(queue):
        add(queue, 5)
        await until(lambda: monitor.messages)

    play(monitor, metrics, scenario)
    assert monitor.profiles == [b"profile"]
    assert [len(message["ids"]) for message in monitor.messages] == [5]


def test_a_monitor_that_lost_the_profile_gets_it_and_the_batch_again(monitor, metrics):
    async def scenario(queue):
        add(queue)
        await until(lambda: monitor.messages)
        monitor.forgets = True
        add(queue, start=1)
        await until(lambda: len(monitor.messages) == 2)

    play(monitor, metrics, scenario)
    assert len(monitor.profiles) == 2
    assert monitor.messages[1]["ids"] == ["r1"]


def test_events_the_monitor_refuses_are_dropped_and_counted(monitor, metrics):
    monitor.refuses = True

    async def scenario(queue):
        add(queue, 4)
        await until(lambda: metrics.dropped["refused"] == 4)

    play(monitor, metrics, scenario)
    assert monitor.messages == []


def test_a_monitor_that_comes_back_gets_what_was_queued_in_order(monitor, metrics):
    async def scenario(queue):
        await until(lambda: monitor.profiles)
        monitor.fail = 4
        for number in range(3):
            add(queue, events.MOST_ROWS, start=number)
        await until(lambda: len(monitor.messages) == 3)

    play(monitor, metrics, scenario)
    assert [message["ids"][0] for message in monitor.messages] == ["r0/0", "r1/0", "r2/0"]


def test_a_monitor_that_hangs_costs_the_oldest_events_and_no_time(monitor, metrics):
    monitor.hangs = True

    async def scenario(queue):
        for number in range(60):
            add(queue, events.FLUSH_ROWS, start=number)

    play(monitor, metrics, scenario, seconds=0.05)
    full, shutdown = (metrics.dropped[reason] for reason in ("full", "shutdown"))
    assert full == 60 * events.FLUSH_ROWS - events.CAPACITY_ROWS
    assert shutdown == events.CAPACITY_ROWS


def test_a_batch_under_way_at_the_end_is_counted_as_dropped(monitor, metrics):
    async def scenario(queue):
        await until(lambda: monitor.profiles)
        monitor.hangs = True
        add(queue, 7)
        await until(lambda: monitor.calls == 2)

    play(monitor, metrics, scenario, seconds=0.05)
    assert metrics.dropped["shutdown"] == 7


def test_a_large_request_goes_out_in_messages_of_bounded_size(monitor, metrics):
    async def scenario(queue):
        add(queue, 7000)
        await until(lambda: sum(len(message["ids"]) for message in monitor.messages) == 7000)

    play(monitor, metrics, scenario)
    assert [len(message["predictions"]) // 8 for message in monitor.messages] == [5000, 2000]
    assert [message["ids"][0] for message in monitor.messages] == ["r0/0", "r0/5000"]


def test_single_rows_go_in_messages_that_are_quickly_made(monitor, metrics):
    async def scenario(queue):
        for number in range(events.FLUSH_ROWS + 1):
            queue.add_row(f"r{number}", [0.0, "basic"], 0.25)
        await until(lambda: len(monitor.messages) == 2)

    play(monitor, metrics, scenario)
    assert [len(message["ids"]) for message in monitor.messages] == [events.FLUSH_ROWS, 1]


def test_what_is_queued_at_the_end_is_sent_before_the_sender_stops(monitor, metrics):
    async def scenario(queue):
        await until(lambda: monitor.profiles)
        add(queue, 3)

    play(monitor, metrics, scenario)
    assert [len(message["ids"]) for message in monitor.messages] == [3]
