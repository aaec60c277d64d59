"""Text, categories of many values and booleans: quiet without drift, found with it."""

from dataclasses import replace

import numpy as np
import pytest

from loopwright.monitor.drift import Rule, Window, evaluate
from loopwright.monitor.events import Message, check
from loopwright.monitor.odd import odd
from loopwright.monitor.ranges import ranges
from loopwright.statistics.profile import Profile

RULE = Rule(look=360.0, looks=10, level=1 / 43200, min_effect=0.1, min_events=500, persistence=2)
WORDS = ["the", "parcel", "never", "came", "and", "nobody", "answers", "at", "all", "please", "call", "me", "back"]
CITIES = np.array([f"city{i}" for i in range(20_000)], dtype=object)
# As places are: the hundredth has a hundredth of the first.
SHARES = 1 / np.arange(1, 20_001)
SHARES /= SHARES.sum()


def draw(rng, n, *, new=0.0, longest=60, opted=0.3):
    comment = np.array([f"{i} " + " ".join(rng.choice(WORDS, rng.integers(1, 12))) for i in range(n)], dtype=object)
    city = rng.choice(CITIES, n, p=SHARES)
    city = np.where(rng.random(n) < new, "elsewhere", city)
    return {
        "comment": np.array([text[:longest] for text in comment], dtype=object),
        "city": city,
        "opted": (rng.random(n) < opted).astype(float),
    }


KINDS = {"comment": "category", "city": "category", "opted": "number"}


def profile(seed, rows=5000):
    rng = np.random.default_rng(seed)
    return Profile.build("shop", "regression", [], draw(rng, rows), KINDS, rng.normal(size=rows))


def look(one, rng, n=1000, rule=RULE, **drift):
    window = Window(n, one.count(draw(rng, n, **drift)), one.count_predictions(rng.normal(size=n)))
    return evaluate(one, window, rule), window


def test_each_column_has_bins_of_its_kind():
    found = profile(1).features
    assert [found[name].kind for name in KINDS] == ["text", "category", "number"]
    assert 1500 < len(found["city"].known) <= 2000
    assert "characters" in ranges(found["comment"])[3]
    assert ranges(found["city"])[-1] == "rare"
    assert len(found["opted"].counts) == 5


@pytest.mark.parametrize(
    ("drift", "name", "what"),
    [({"new": 0.3}, "city", "new_values"), ({"longest": 20}, "comment", None), ({"opted": 0.6}, "opted", None)],
)
def test_what_changes_is_found_and_nothing_else(drift, name, what):
    one, rng = profile(2), np.random.default_rng(3)
    for _ in range(5):
        found, window = look(one, rng, **drift)
        assert [key for key, score in found.scores().items() if score.drifted] == [name]
    if what:
        assert odd(one.features[name], window.features[name])[what] == pytest.approx(0.21, abs=0.06)


def test_new_values_come_as_often_as_the_reference_lets_expect():
    expected, found = [], []
    for seed in range(10):
        one, rng = profile(10 + seed), np.random.default_rng(20 + seed)
        expected.append(one.features["city"].counts[1] / 5000)
        found.append(one.features["city"].count(rng.choice(CITIES, 5000, p=SHARES))[1] / 5000)
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.05)


@pytest.mark.long
def test_without_drift_false_alarms_are_within_the_budget():
    """50 references, 24 windows of each, 1 % a window: 12 are allowed; any distance counts as an effect."""
    rule, false = replace(RULE, level=0.01, min_effect=0.0), 0
    for seed in range(50):
        one, rng = profile(100 + seed, 3000), np.random.default_rng(200 + seed)
        for _ in range(24):
            false += any(score.drifted for score in look(one, rng, 600, rule)[0].scores().values())
    assert false <= 12


def test_text_comes_as_text_and_is_refused_as_numbers():
    one, rng = profile(4), np.random.default_rng(5)
    columns = {name: values.tolist() for name, values in draw(rng, 7).items()}
    batch = check(Message("1", [str(i) for i in range(7)], 0.0, columns, [0.0] * 7), one)
    assert one.count(batch.columns)["comment"].sum() == 7
    with pytest.raises(ValueError, match="column comment: found packed numbers"):
        check(Message("1", ["a"], 0.0, {**columns, "comment": b"12345678"}, [0.0]), one)
