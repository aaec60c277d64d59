import numpy as np
import pytest

from loopwright.loop import Loop
from loopwright.monitor.drift import Window
from loopwright.monitor.odd import odd, of, suspected
from loopwright.statistics.profile import Profile


@pytest.fixture
def profile():
    rng = np.random.default_rng(7)
    columns = {"age": rng.normal(40, 10, 2000), "plan": np.array(["basic", "premium"] * 1000, dtype=object)}
    kinds = {"age": "number", "plan": "category"}
    return Profile.build("churn", "classification", ["no", "yes"], columns, kinds, rng.random(2000))


def window(profile, age, plan):
    counts = profile.count({"age": np.array(age, float), "plan": np.array(plan, dtype=object)})
    return Window(len(age), counts, profile.count_predictions(np.full(len(age), 0.5)))


def test_missing_values_new_ones_and_a_changed_unit_are_odd(profile):
    here = window(profile, [np.nan] * 30 + [4000.0] * 50 + [40.0] * 20, [None] * 10 + ["PREMIUM"] * 60 + ["basic"] * 30)
    found = of(profile, here, ["age", "plan", "prediction"])
    assert found == {
        "age": {"missing": 0.3, "out_of_range": 0.5},
        "plan": {"missing": 0.1, "new_values": 0.6},
    }


def test_a_shift_within_the_range_is_not_odd(profile):
    rng = np.random.default_rng(8)
    here = window(profile, rng.normal(50, 8, 1000), ["basic"] * 900 + ["premium"] * 100)
    found = of(profile, here, ["age", "plan"])
    assert found["plan"] == {"missing": 0.0, "new_values": 0.0}
    assert found["age"]["out_of_range"] < 0.02


def test_a_window_without_events_is_not_odd(profile):
    assert odd(profile.features["age"], np.zeros_like(profile.features["age"].counts))["missing"] == 0.0


def test_features_beyond_what_the_loop_accepts_are_suspected():
    loop = Loop.model_validate(
        {
            "apiVersion": "loopwright/v1",
            "kind": "Loop",
            "metadata": {"name": "churn"},
            "data": {"source": "x.csv", "label": {"column": "y"}, "contract": {"age": {"type": "integer"}}},
            "model": {"task": "classification"},
            "retrain": {"suspect": {"new_values": 1}},
        }
    )
    found = {"b": {"missing": 0.11}, "a": {"out_of_range": 0.6}, "c": {"new_values": 1.0}, "d": {"missing": 0.1}}
    assert suspected(loop, found) == ["a", "b"]
