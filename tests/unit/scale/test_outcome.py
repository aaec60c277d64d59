"""How it is noticed that workers do nothing any more; with workers: tests/integration/test_scaled.py."""

from typing import Any

import pytest

from loopwright.errors import RunError
from loopwright.scale import outcome
from loopwright.scale.outcome import Group, LostError


class Client:
    """A stand-in: a client whose workers are what is given, and whose tasks never end."""

    status = "running"

    def __init__(self, workers: dict[str, Any]) -> None:
        self.workers = workers

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": self.workers}

    def submit(self, *given: Any, **how: Any) -> Any:
        return Future()


class Future:
    """A stand-in: a task that is waited for."""

    status = "pending"


def worker(status: str, executing: int) -> dict[str, Any]:
    return {"status": status, "metrics": {"executing": executing}}


def test_a_worker_that_is_paused_and_does_nothing_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "PAUSED", 0.0)
    monkeypatch.setattr(outcome, "_wait", lambda client, futures: None)
    workers = {"tcp://a:1": worker("running", 1), "tcp://b:1": worker("paused", 0)}
    with pytest.raises(RunError, match="the Dask worker tcp://b:1 is paused for want of memory"):
        Group(Client(workers), list(workers)).run(len, [("a",), ("b",)])
    with pytest.raises(RunError, match="is paused for want of memory"):
        outcome.of_task(Client({"tcp://b:1": worker("paused", 0)}), Future(), 3, "here")


def test_a_worker_that_is_paused_while_it_trains_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "PAUSED", 0.0)
    workers, looks = {"tcp://a:1": worker("paused", 1)}, []

    def look(client: Any, futures: Any) -> None:
        looks.append(1)
        if len(looks) == 5:
            workers.clear()

    monkeypatch.setattr(outcome, "_wait", look)
    with pytest.raises(LostError, match="tcp://a:1 was lost"):
        Group(Client(workers), ["tcp://a:1"]).run(len, [("a",)])


def test_fewer_workers_than_there_is_work_for_are_a_loss_not_a_part_left_out() -> None:
    workers = {"tcp://a:1": worker("running", 0)}
    with pytest.raises(LostError, match="of 2 Dask workers 1 are left"):
        Group(Client(workers), list(workers)).run(len, [("a",), ("b",)])
