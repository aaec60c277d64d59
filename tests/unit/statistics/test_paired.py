import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from loopwright.statistics import bootstrap, paired


def scores(rows: int, seed: int, skill: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.random(rows) < 0.3
    common = truth + random.normal(0, 1.2, rows)
    first = common + random.normal(0, 0.5, rows)
    return truth, np.round(first, 1), np.round(skill * common + random.normal(0, 0.5, rows), 1)


def test_the_difference_is_that_of_the_areas_with_ties() -> None:
    truth, first, second = scores(400, 1)
    difference, error = paired.auc_difference(truth, first, second)
    assert difference == pytest.approx(roc_auc_score(truth, first) - roc_auc_score(truth, second), abs=1e-12)
    assert error > 0


def test_delongs_error_is_the_spread_of_the_difference_over_samples() -> None:
    found = [paired.auc_difference(*scores(300, seed)) for seed in range(400)]
    differences, errors = np.array(found).T
    assert errors.mean() == pytest.approx(differences.std(ddof=1), rel=0.12)


def test_the_lower_bound_covers_at_its_confidence_when_both_are_equally_good() -> None:
    bounds = [paired.lower_bound(*paired.auc_difference(*scores(300, seed)), 0.95) for seed in range(1000, 1600)]
    above = np.mean(np.array(bounds) > 0)
    # 5 % are expected; 600 draws are within three standard errors of it.
    assert above == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / 600) ** 0.5)


def test_the_same_scores_differ_by_nothing() -> None:
    truth, first, _ = scores(100, 5)
    assert paired.auc_difference(truth, first, first) == (0.0, 0.0)


def test_areas_of_customers_with_several_rows_are_as_sure_as_the_customers_are_many():
    truth, first, second = scores(300, 1)
    groups = bootstrap.codes(np.repeat(np.arange(300), 4))
    rows = paired.auc_difference(truth, first, second)
    several = [np.repeat(one, 4) for one in (truth, first, second)]
    gain, error = paired.auc_difference(*several, groups=groups)
    assert gain == pytest.approx(rows[0])
    assert error == pytest.approx(rows[1], rel=0.02)
    assert paired.auc_difference(*several)[1] == pytest.approx(rows[1] / 2, rel=0.02)


def test_a_share_of_the_other_area_is_compared_with_its_own_error():
    truth, first, second = scores(300, 1)
    gain, error = paired.auc_difference(truth, first, second, factor=0.0)
    assert (gain, error) == pytest.approx(paired.auc_error(truth, first))
    assert paired.auc_difference(truth, first, second, factor=1.02)[0] == pytest.approx(
        roc_auc_score(truth, first) - 1.02 * roc_auc_score(truth, second)
    )


@pytest.mark.parametrize(
    ("gain", "error", "margin", "superior", "confidence", "state"),
    [
        (0.01, 0.001, 0.0, True, 0.95, "passed"),
        (0.01, 0.1, 0.0, True, 0.95, "cannot_tell"),
        (-0.01, 0.001, 0.0, True, 0.95, "failed"),
        (0.0, 0.0, 0.0, False, 0.95, "passed"),
        (0.0, 0.0, 0.0, True, 0.95, "cannot_tell"),
        (0.02, 0.1, 0.01, True, 0.5, "passed"),
        (0.009, 0.1, 0.01, True, 0.5, "failed"),
        (0.0, float("nan"), -0.1, False, 0.95, "cannot_tell"),
    ],
)
def test_a_gate_passes_on_the_bound_and_fails_on_the_other(gain, error, margin, superior, confidence, state):
    assert paired.Evidence(gain, error, margin, superior, confidence, 1000).state == state


def test_the_rows_that_are_said_to_be_needed_pass_four_in_five():
    random = np.random.default_rng(2)
    first = paired.Evidence(0.01, 0.02, 0.0, True, 0.95, 1000)
    rows = first.rows_needed(0.01)
    assert rows == pytest.approx(24_730, rel=0.001)
    error = 0.02 * (1000 / rows) ** 0.5
    later = [paired.Evidence(gain, error, 0.0, True, 0.95, rows) for gain in random.normal(0.01, error, 4000)]
    assert np.mean([one.state == "passed" for one in later]) == pytest.approx(0.8, abs=0.03)
    assert first.rows_needed(0.0) is None
