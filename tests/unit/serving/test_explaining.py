"""Explanations that take long: what they hold up, and when they end."""

import asyncio
import json
import threading

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from loopwright.loop import Column
from loopwright.serving import explaining
from loopwright.serving.metrics import Metrics
from loopwright.serving.scorer import Limits, Overloaded, Queue, Scorer, TooManyRows

CONTRACT = {"tenure": Column(type="integer"), "charges": Column(type="number")}
ROWS = {"tenure": np.arange(1000.0)}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class Slow:
    """An explainer of which a row takes so many seconds of its own clock, and the first some more."""

    def __init__(self, row, first=0.0):
        self.row, self.now, self.sizes, self.first = row, 0.0, [], first

    def clock(self):
        return self.now

    def __call__(self, columns):
        rows = columns["tenure"].tolist()
        self.now += self.row * len(rows) + (0.0 if self.sizes else self.first)
        self.sizes.append(len(rows))
        return [{"tenure": one} for one in rows]


def in_slices(slow, count, gone=None):
    return explaining.in_slices(slow, ROWS, count, 30.0, gone or threading.Event(), slow.clock)


@pytest.mark.parametrize(("row", "most"), [(0.0, 998), (0.002, 50), (0.02, 5)])
def test_rows_are_explained_in_order_in_slices_of_a_tenth_of_a_second(row, most):
    slow = Slow(row, first=100.0)
    assert [one["tenure"] for one in in_slices(slow, 1000)] == ROWS["tenure"].tolist()
    assert 0.8 * most <= max(slow.sizes) <= most


def test_more_rows_than_the_time_allows_are_refused_after_a_second_with_how_many_may_be_sent():
    slow = Slow(0.1)
    with pytest.raises(TooManyRows, match=r"of 1000 rows by this model take about 100 s; .* Send at most 150 rows"):
        in_slices(slow, 1000)
    assert slow.now < 1.5
    assert len(in_slices(Slow(0.1), 150)) == 150


def test_nothing_is_explained_for_a_caller_that_has_gone():
    slow, gone = Slow(0.02), threading.Event()
    gone.set()
    assert (len(in_slices(slow, 1000, gone)), slow.sizes) == (1, [1])


def test_a_thread_ends_soon_after_its_request_and_takes_the_next():
    metrics = Metrics("churn", "3", CollectorRegistry())
    queue = Queue("explain", Limits(threads=1, seconds=0.2), metrics)
    first = threading.Event()

    def held(columns):
        first.wait(20)
        return [{}]

    async def run():
        with pytest.raises(Overloaded, match=r"not done within 0\.2 s"):
            await explaining.explained(queue, held, ROWS, 1000)
        first.set()
        return await explaining.explained(queue, Slow(0.0), ROWS, 1000)

    assert len(asyncio.run(run())) == 1000
    assert metrics.in_flight == 0


def test_predictions_are_answered_while_all_threads_of_explanations_work():
    class Model:
        classes, gain, threshold = (), 1.0, 0.5

        def predict(self, columns):
            return columns["tenure"]

    scorer = Scorer(Model(), Metrics("churn", "3", CollectorRegistry()), None, Limits(threads=1, waiting=1))
    queue, go, began = scorer.queue("explain"), threading.Event(), threading.Event()

    def held(columns):
        began.set()
        assert go.wait(20)
        return [{}]

    async def run():
        waits = asyncio.create_task(explaining.explained(queue, held, ROWS, 1))
        await asyncio.to_thread(began.wait, 20)
        with pytest.raises(Overloaded):
            await explaining.explained(queue, held, ROWS, 1)
        predicted = await scorer.many("a", ROWS, 1000)
        go.set()
        return predicted, await waits

    predicted, explanations = asyncio.run(run())
    assert (len(predicted), explanations) == (1000, [{}])


def test_too_many_explanations_are_503_and_too_many_rows_of_a_slow_model_413(make_model, ask_both, monkeypatch):
    rows = [{"tenure": n % 60, "charges": 1.0} for n in range(200)]
    both = ask_both(make_model(CONTRACT, rows, "tenure"), Limits(threads=1, waiting=1))
    ask = ("/v1/models/churn:explain", json.dumps({"instances": [[1, 2]] * 3}))
    assert len(both.ask(both.slow, *ask)[0].json()["explanations"]) == 3
    monkeypatch.setattr(explaining, "_MEASURED", 0.0)
    monkeypatch.setattr(both.predictor._explaining, "limits", Limits(seconds=1e-9))
    monkeypatch.setattr(both.predictor._explaining, "do", at_once)
    answer = both.ask(both.slow, *ask)[0]
    assert (answer.status_code, "Send at most 1 rows" in answer.json()["error"]) == (413, True)
    monkeypatch.undo()
    monkeypatch.setattr(both.predictor._explaining, "_held", 1)
    answer = both.ask(both.slow, *ask)[0]
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def at_once(work):
    return work()
