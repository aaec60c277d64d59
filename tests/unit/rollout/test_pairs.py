import math

import numpy as np
import pytest

from loopwright.rollout.pairs import NONE, Joiner, Pairs, disagreement


def answers(cursor="", **predictions):
    return list(predictions.items()), cursor


def test_answers_are_joined_by_id_whichever_comes_first_and_once():
    joiner = Joiner(None)
    pairs = joiner.take(NONE, answers("1", a=0.9, b=0.2), answers("1", b=0.8))
    assert pairs == Pairs(1, 1, "1", "1")
    pairs = joiner.take(pairs, answers("2", c=0.5), answers("2", a=0.6, c=0.5, z=0.1))
    assert pairs == Pairs(3, 1, "2", "2")
    assert joiner.take(pairs, answers("2"), answers("3", a=0.1)) == Pairs(3, 1, "2", "3")


def test_a_number_differs_beyond_the_tolerance_and_what_is_no_number_from_one_that_is():
    one = answers(a=1.0, b=1.0, c=math.nan, d=math.nan)
    pairs = Joiner(0.5).take(NONE, one, answers(a=1.5, b=1.51, c=1.0, d=math.nan))
    assert (pairs.total, pairs.differ) == (4, 2)


def test_memory_is_bounded_and_the_oldest_is_given_up():
    joiner = Joiner(None, most_waiting=3)
    pairs = joiner.take(NONE, answers(a=1.0, b=1.0, c=1.0, d=1.0), answers())
    assert joiner.take(pairs, answers(), answers(a=1.0, d=1.0)).total == 1


@pytest.mark.parametrize(("share", "worse"), [(0.05, False), (0.2, True)])
def test_the_evidence_says_worse_when_the_share_is_surely_above_the_limit(share, worse):
    found = disagreement(Pairs(2000, int(2000 * share)), 0.1, 0.0125)
    assert found["worse"] == worse
    assert found["bound"] < share < found["upper"]
    assert (found["bound"] > 0.1) == worse


def test_without_pairs_it_is_not_known():
    assert not disagreement(NONE, 0.1, 0.05)["known"]


def test_versions_that_disagree_as_often_as_allowed_are_rarely_called_worse_however_often_one_looks(monkeypatch):
    # The bounds are for people to read, and take long to compute.
    monkeypatch.setattr("loopwright.rollout.pairs.rate_upper_bound", lambda *_: 1.0)
    draw, worse = np.random.default_rng(8), 0
    for _ in range(300):
        differ = np.cumsum(draw.random(1000) < 0.1)
        looks = range(10, 1000, 25)
        worse += any(disagreement(Pairs(n, int(differ[n - 1])), 0.1, 0.05)["worse"] for n in looks)
    # At most 5 %: 15 of 300, and four standard deviations more.
    assert worse <= 30


def test_classes_are_decided_at_the_loops_threshold() -> None:
    one, other = (answers(a=0.1, b=0.3, c=0.9), answers(a=0.15, b=0.4, c=0.3))
    assert Joiner(None, threshold=0.2).take(NONE, one, other).differ == 0
    assert Joiner(None, threshold=0.35).take(NONE, one, other).differ == 2
