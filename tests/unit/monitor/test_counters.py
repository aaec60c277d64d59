"""Counts add up exactly, windows are differences of snapshots, and memory is bounded."""

import numpy as np
import pytest

from loopwright.monitor.counters import BUCKETS, MOST_VERSIONS, Counters, OtherProfileError
from loopwright.statistics.profile import Profile

RNG = np.random.default_rng(4)


@pytest.fixture
def counters(profile):
    made = Counters(looks=3)
    made.put("1", profile, 0.0)
    return made


def add(counters, columns, n, version="1", at=1.0):
    batch, predictions = columns(RNG, n), RNG.random(n)
    counters.add(version, batch, predictions, at)
    return batch, predictions


def test_batches_add_up_to_the_count_of_all_their_rows(counters, columns, profile):
    batches = [add(counters, columns, n) for n in (1, 40, 500)]
    totals = counters.versions["1"].totals()
    assert totals.events == 541
    for name in profile.features:
        rows = np.concatenate([batch[name] for batch, _ in batches])
        assert totals.features[name].tolist() == profile.features[name].count(rows).tolist()
    predictions = np.concatenate([p for _, p in batches])
    assert totals.prediction.tolist() == profile.count_predictions(predictions).tolist()
    assert counters.versions["1"].buckets.tolist() == np.histogram(predictions, BUCKETS, (0, 1))[0].tolist()


def test_the_window_holds_the_last_looks_only(counters, columns):
    events = []
    for n in (1, 2, 4, 8, 16):
        add(counters, columns, n)
        window = counters.versions["1"].window()
        assert window.events == counters.versions["1"].recent == window.prediction.sum()
        assert {int(counts.sum()) for counts in window.features.values()} == {window.events}
        events.append(window.events)
        counters.mark()
    assert events == [1, 3, 7, 14, 28]
    for _ in range(3):
        counters.mark()
    assert counters.versions["1"].window().events == 0
    assert counters.versions["1"].events == 31


def test_the_same_profile_again_changes_nothing_and_another_one_is_refused(counters, columns, profile):
    add(counters, columns, 5)
    assert not counters.put("1", Profile.from_json(profile.to_json()), 9.0)
    assert counters.versions["1"].events == 5
    other = Profile.build("churn", "classification", [], {}, {}, RNG.random(50))
    with pytest.raises(OtherProfileError, match="version 1"):
        counters.put("1", other, 9.0)


def test_beyond_the_bound_the_version_that_was_idle_longest_is_forgotten(counters, columns, profile):
    for number in range(2, MOST_VERSIONS + 1):
        counters.put(str(number), profile, float(number))
    add(counters, columns, 3, "1", at=100.0)
    counters.put("new", profile, 101.0)
    assert len(counters.versions) == MOST_VERSIONS
    assert "2" not in counters.versions
    assert {"1", "3", "new"} <= set(counters.versions)


def test_predictions_at_and_beyond_the_ends_fall_into_the_outer_buckets_and_nan_into_none(counters, columns):
    values = np.array([0.0, 1.0, -0.1, 1.1, 0.05, np.nan])
    counters.add("1", columns(RNG, 6), values, 1.0)
    buckets = counters.versions["1"].buckets.tolist()
    assert (buckets[0], buckets[1], buckets[-1], sum(buckets)) == (2, 1, 2, 5)
    assert counters.versions["1"].totals().prediction[0] == 1


def test_versions_of_a_regression_share_the_bins_of_the_first_profile():
    first = Profile.build("demand", "regression", [], {}, {}, RNG.normal(0, 1, 500))
    second = Profile.build("demand", "regression", [], {}, {}, RNG.normal(5, 1, 500))
    counters = Counters(looks=3)
    counters.put("1", first, 0.0)
    counters.put("2", second, 0.0)
    values = RNG.normal(2, 2, 300)
    for version in "12":
        counters.add(version, {}, values, 1.0)
        assert counters.versions[version].buckets.tolist() == first.count_predictions(values).tolist()
