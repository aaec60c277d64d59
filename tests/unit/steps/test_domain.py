"""The domain classifier: finds what no column shows by itself, names it, and finds nothing where there is nothing."""

import numpy as np
import pandas as pd
import pytest

from loopwright.errors import DataError
from loopwright.steps.domain import compare


def frame(seed, n, *, correlation=0.0, customers=None):
    rng = np.random.default_rng(seed)
    a, noise = rng.normal(size=(2, n))
    rows = pd.DataFrame(
        {
            "a": a,
            "b": correlation * a + np.sqrt(1 - correlation**2) * noise,
            "c": rng.normal(size=n),
            "plan": rng.choice(["basic", "premium", None], n),
        }
    )
    return rows if customers is None else rows.iloc[rng.integers(0, customers, n)].assign(who=lambda r: r.index)


@pytest.mark.long
def test_without_drift_the_chance_is_seldom_small():
    """At 0.1, of 20 comparisons 2 are expected at most; 6 or more would be seen once in 90 times."""
    found = [compare(frame(seed, 500), frame(1000 + seed, 500), seed=seed) for seed in range(20)]
    assert sum(test.p_value <= 0.1 for test in found) <= 5
    assert np.mean([test.auc for test in found]) == pytest.approx(0.5, abs=0.02)


def test_columns_that_go_together_differently_are_found_and_named():
    test = compare(frame(1, 2000), frame(2, 2000, correlation=0.8))
    assert test.p_value < 1e-6
    assert test.auc > 0.6
    assert set(list(test.importance)[:2]) == {"a", "b"}


def test_customers_who_repeat_themselves_are_no_drift_when_named():
    one, two = frame(3, 3000, customers=300), frame(4, 3000, customers=300)
    assert compare(one, two).p_value < 1e-6
    assert compare(one, two, groups="who").p_value > 0.001


def test_the_same_seed_gives_the_same_answer():
    assert compare(frame(5, 300), frame(6, 300), seed=4) == compare(frame(5, 300), frame(6, 300), seed=4)


@pytest.mark.parametrize(
    ("one", "two"), [(frame(7, 99), frame(8, 500)), (frame(7, 500), frame(8, 500).add_prefix("x"))]
)
def test_too_few_rows_or_no_common_column_are_refused(one, two):
    with pytest.raises(DataError, match="cannot be told apart"):
        compare(one, two)
