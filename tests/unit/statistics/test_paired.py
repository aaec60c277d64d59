import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from loopwright.statistics import paired


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


def test_the_bootstrap_gives_the_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(2).normal(1, 2, 500)
    difference, error = paired.bootstrap_difference(lambda rows: float(values[rows].mean()), 500, seed=3)
    assert difference == pytest.approx(values.mean())
    assert error == pytest.approx(values.std() / 500**0.5, rel=0.15)
    assert paired.bootstrap_difference(lambda rows: float(values[rows].mean()), 500, seed=3) == (difference, error)
