"""A loop, its profile and batches of its events."""

import numpy as np
import pytest

from loopwright.declaration import parse
from loopwright.statistics.profile import Profile

MONITOR = "monitor: {window: 1h, false_alarms: 1 per 90d, min_effect: 0.1, min_events: 500, persistence: 2}"


@pytest.fixture
def loop(churn_declaration):
    return parse(churn_declaration + MONITOR)


def draw(rng, n, *, shift=0.0, premium=0.4):
    """Columns of n rows: a number, moved by `shift` standard deviations, and a category."""
    return {
        "age": rng.normal(40 + 9 * shift, 9, n),
        "plan": np.where(rng.random(n) < premium, "premium", "basic").astype(object),
    }


@pytest.fixture
def columns():
    return draw


@pytest.fixture
def profile():
    rng = np.random.default_rng(1)
    return Profile.build(
        "churn",
        "classification",
        ["No", "Yes"],
        draw(rng, 5000),
        {"age": "number", "plan": "category"},
        rng.beta(2, 5, 5000),
    )


@pytest.fixture
def message():
    """A message of events as a predictor sends it, before it is encoded."""

    def make(n=4, version="1", seed=3, first=0, **changes):
        rng = np.random.default_rng(seed)
        content = {
            "version": version,
            "ids": [f"p{first + i}" for i in range(n)],
            "at": 1.7e9,
            "columns": {name: values.tolist() for name, values in draw(rng, n).items()},
            "predictions": rng.beta(2, 5, n).tolist(),
        }
        return content | changes

    return make
