import numpy as np
import pytest

from loopwright.steps import sanity


class Predicts:
    """Stands in for a loaded model: what `predict` is given is a function of columns."""

    def __init__(self, predict):
        self.predict = predict


@pytest.fixture
def columns():
    random = np.random.default_rng(1)
    return {"tenure": random.uniform(0, 70, 300), "spend": random.uniform(0, 9, 300)}


def found(predict, columns, monotone=None):
    return {gate.metric: gate for gate in sanity.checks(Predicts(predict), columns, monotone or {})}


def test_a_function_of_each_row_is_stable_under_the_order_of_rows(columns):
    assert found(lambda seen: seen["tenure"] / 70, columns)["row order"].passed


def test_feature_code_that_looks_at_other_rows_is_found(columns):
    gate = found(lambda seen: seen["tenure"] - seen["tenure"].mean(), columns)["row order"]
    assert not gate.passed
    assert "does the feature code look at other rows?" in gate.detail
    running = found(lambda seen: np.cumsum(seen["spend"]), columns)["row order"]
    assert not running.passed


def test_a_monotone_input_is_tried_at_its_quantiles(columns):
    falls = lambda seen: 1 / (1 + seen["tenure"]) + seen["spend"]  # noqa: E731
    assert found(falls, columns, {"tenure": "decreasing"})["monotone tenure"].passed
    gate = found(falls, columns, {"tenure": "increasing"})["monotone tenure"]
    assert (gate.passed, gate.value) == (False, 1.0)
    assert "not increasing in 100.0% of 200 rows" in gate.detail
    dips = lambda seen: np.abs(seen["tenure"] - 60)  # noqa: E731
    assert not found(dips, columns, {"tenure": "decreasing"})["monotone tenure"].passed


def test_probabilities_sum_to_one_with_the_other_class(columns):
    assert sanity.sane(np.array([0.0, 0.4, 1.0]), probabilities=True).passed
    gate = sanity.sane(np.array([0.2, 1.3]), probabilities=True)
    assert (gate.passed, gate.detail) == (False, "probabilities from 0.2 to 1.3: with the other class's, no sum of 1")
    assert sanity.sane(np.array([0.2, 1.3])).passed
