import pytest

from loopwright.monitor.fairness import differences


def test_the_greatest_differences_between_groups_are_found():
    counts = {
        ("", ""): (200.0, 100.0, 60.0, 140.0),
        ("gender", "F"): (80.0, 20.0, 40.0, 60.0),  # decided 80 of 200; hits .6, alarms .2
        ("gender", "M"): (90.0, 60.0, 20.0, 80.0),  # decided 140 of 250; hits .8, alarms .4
        ("gender", "X"): (3.0, 1.0, 0.0, 2.0),  # too few to compare
    }
    found = differences(counts)
    assert found == {
        "gender": {
            "demographic_parity_difference": pytest.approx(140 / 250 - 80 / 200),
            "equalized_odds_difference": pytest.approx(0.2),
        }
    }


def test_one_group_alone_is_not_compared():
    assert differences({("", ""): (90.0, 60.0, 20.0, 80.0), ("plan", "a"): (90.0, 60.0, 20.0, 80.0)}) == {}
