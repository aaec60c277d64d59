import numpy as np

from loopwright.monitor.ranges import ranges
from loopwright.statistics.profile import CategoryBins, NumberBins


def test_a_number_s_bins_are_said_by_their_edges():
    bins = NumberBins(np.array([1.0, 2.5, 1e6]), np.zeros(5, dtype=np.int64))
    assert ranges(bins) == ["missing", "below 1", "1 to 2.5", "2.5 to 1e+06", "above 1e+06"]


def test_no_two_bins_are_called_the_same():
    bins = NumberBins(np.array([1.0, 1.00000001, 1.00000002]), np.zeros(5, dtype=np.int64))
    assert ranges(bins)[2:4] == ["1 to 1 (2)", "1 to 1 (3)"]
    values = ("a" * 50, "a" * 40 + "b", "other")
    names = ranges(CategoryBins(values, np.zeros(5, dtype=np.int64)))
    assert len(set(names)) == 5
    assert names[0] == "missing"
