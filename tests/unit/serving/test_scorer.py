"""What happens when there is more to predict than can be done."""

import asyncio
import json
import threading

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from loopwright.loop import Column
from loopwright.serving.metrics import Metrics
from loopwright.serving.scorer import Limits, Overloaded, Scorer

CONTRACT = {"tenure": Column(type="integer"), "charges": Column(type="number")}
MANY = {"tenure": np.arange(201.0), "charges": np.ones(201)}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class Held:
    """A model whose predictions wait until they are let go."""

    classes, gain, threshold = (), 1.0, 0.5

    def __init__(self):
        self.began, self.go = threading.Semaphore(0), threading.Event()

    def predict(self, columns):
        self.began.release()
        assert self.go.wait(20)
        return columns["tenure"]


def test_more_than_may_wait_are_refused_and_the_others_are_answered():
    model, metrics = Held(), Metrics("churn", "3", CollectorRegistry())
    scorer = Scorer(model, metrics, None, Limits(threads=1, waiting=2))

    async def run():
        first, second = (asyncio.create_task(scorer.many("a", MANY, 201)) for _ in range(2))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="2 requests of many rows wait already; try again later"):
            await scorer.many("b", MANY, 201)
        assert metrics.in_flight == 2
        model.go.set()
        return await asyncio.gather(first, second)

    answers = asyncio.run(run())
    assert [answer.tolist() for answer in answers] == [MANY["tenure"].tolist()] * 2
    assert (metrics.in_flight, metrics.rows) == (0, 402)


@pytest.mark.parametrize(("gain", "stays"), [(1.0, 200), (3.5, 700), (50.0, 1000)])
def test_a_faster_engine_keeps_more_rows_on_the_event_loop(gain, stays):
    model = Held()
    model.gain = gain
    model.go.set()
    scorer = Scorer(model, Metrics("churn", "3", CollectorRegistry()), None, Limits(waiting=0))

    async def run():
        await scorer.many("a", {"tenure": np.zeros(stays)}, stays)
        # The queue for threads has no room, so that whatever goes there is refused.
        with pytest.raises(Overloaded):
            await scorer.many("a", {"tenure": np.zeros(stays + 1)}, stays + 1)

    asyncio.run(run())


def test_what_takes_too_long_is_given_up_and_what_waited_behind_it_is_never_begun():
    model, metrics = Held(), Metrics("churn", "3", CollectorRegistry())
    scorer = Scorer(model, metrics, None, Limits(threads=1, waiting=9, seconds=0.05))

    async def run():
        results = await asyncio.gather(*(scorer.many("a", MANY, 201) for _ in range(2)), return_exceptions=True)
        model.go.set()
        return results

    for error in asyncio.run(run()):
        assert isinstance(error, Overloaded)
        assert str(error) == "it was not done within 0.05 s; try again later"
    scorer._predicting._pool.shutdown()
    assert (model.began.acquire(blocking=False), model.began.acquire(blocking=False)) == (True, False)
    assert (metrics.in_flight, metrics.rows) == (0, 0)


@pytest.fixture(scope="module")
def both(make_model, ask_both):
    loaded = make_model(CONTRACT, [{"tenure": n % 60, "charges": 1.0} for n in range(200)], "tenure")
    return ask_both(loaded, Limits(threads=1, waiting=1))


@pytest.mark.parametrize("path", ["/v1/models/churn:predict", "/v2/models/churn/infer"])
def test_too_much_to_do_is_503_with_retry_after_on_both_paths(both, path, monkeypatch):
    monkeypatch.setattr(both.scorer._predicting, "_held", 1)
    rows = {"instances": [[1, 2]] * 201}
    tensors = [{"name": name, "shape": [201], "datatype": "FP64", "data": [1] * 201} for name in CONTRACT]
    body = json.dumps(rows if path.startswith("/v1") else {"inputs": tensors})
    answer, fast = both.agree(path, body)
    assert (answer.status_code, answer.headers["retry-after"], fast) == (503, "1", True)
    assert both.ask(both.slow, path, body)[0].headers["retry-after"] == "1"
    assert "try again later" in answer.json()["error"]
    # One row does not wait, whatever else does.
    assert both.agree("/v1/models/churn:predict", json.dumps({"instances": [[1, 2]]}))[0].status_code == 200


def test_a_forest_is_explained_by_its_probability(make_model, ask_both):
    rows = [{"tenure": n % 60, "charges": 1.0} for n in range(200)]
    forest = ask_both(make_model(CONTRACT, rows, "tenure", estimator="random_forest"))
    body = json.dumps({"instances": [[1, 2]]})
    (found,) = forest.ask(forest.slow, "/v1/models/churn:explain", body)[0].json()["explanations"]
    (predicted,) = forest.ask(forest.slow, "/v1/models/churn:predict", body)[0].json()["predictions"]
    assert found["raw_score"] == pytest.approx(predicted["probability"], abs=1e-12)
    assert sum(found["contributions"].values()) + found["base_value"] == pytest.approx(found["raw_score"], abs=1e-12)
    assert abs(found["contributions"]["tenure"]) > abs(found["contributions"]["charges"])


def test_a_model_of_before_there_were_reference_rows_that_needs_one_is_501(make_model, ask_both, monkeypatch):
    from loopwright.models import forests

    rows = [{"tenure": n % 60, "charges": 1.0} for n in range(200)]
    monkeypatch.setattr(forests, "read", lambda estimator: None)
    unknown = ask_both(make_model(CONTRACT, rows, "tenure", estimator="random_forest"))
    answer = unknown.ask(unknown.slow, "/v1/models/churn:explain", json.dumps({"instances": [[1, 2]]}))[0]
    assert answer.status_code == 501
    assert answer.json()["error"] == (
        "this model of random_forest cannot be explained, as it was trained before there was a reference row in its "
        "bundle; train it again"
    )
