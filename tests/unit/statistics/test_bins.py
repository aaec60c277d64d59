"""Many values are counted by going through the edges: the same counts as by placing each value."""

import numpy as np
import pytest

from loopwright.statistics.bins import NumberBins, of_numbers

MANY = 4_000


@pytest.mark.parametrize("seed", range(20))
def test_many_values_are_counted_as_each_is_placed(seed) -> None:
    random = np.random.default_rng(seed)
    bins = of_numbers(random.normal(size=500).round(seed % 3), 10)
    values = random.normal(size=MANY).round(1) * 1.5
    values[::17], values[::19], values[::23] = np.nan, np.inf, -np.inf
    values[:200] = random.choice(bins.edges, 200)
    assert bins.count(values).tolist() == np.bincount(bins.assign(values), minlength=len(bins.edges) + 2).tolist()


def test_a_reference_without_any_number_counts_many_values_too() -> None:
    bins = NumberBins(np.zeros(2), np.zeros(4, dtype=np.int64))
    values = np.resize([0.0, 1.0, -1.0, np.nan], MANY)
    assert bins.count(values).tolist() == [MANY // 4] * 4
