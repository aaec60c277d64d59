"""Models of error: right on average, where errors depend on features too, and kept with the version."""

import numpy as np
import pytest

from loopwright.errors import BundleError
from loopwright.models.bundle import LOSSES, Bundle
from loopwright.models.losses import Losses


def draw(rng, n, harder=0.0):
    """Rows, predictions and truths whose spread depends on the third feature, which does not move the prediction.

    Trees know nothing beyond what they have seen, so its range stays.
    """
    x = rng.normal(size=(n, 3))
    x[:, 2] = np.clip(rng.uniform(-2, 2, n) + harder, -2, 2)
    predicted = x[:, 0] + x[:, 1]
    return x, predicted, predicted + rng.normal(size=n) * np.exp(0.5 * x[:, 2])


@pytest.fixture(scope="module")
def losses():
    return Losses.fit(*draw(np.random.default_rng(1), 6000), seed=1)


def realised(predicted, truth):
    errors = np.abs(truth - predicted)
    return {"mae": errors.mean(), "rmse": np.sqrt((errors**2).mean())}


def test_errors_are_expected_as_they_will_be(losses):
    x, predicted, truth = draw(np.random.default_rng(2), 20_000)
    wanted = realised(predicted, truth)
    for name, (value, _) in losses.estimate(x, predicted).items():
        assert value == pytest.approx(wanted[name], rel=0.05)


@pytest.mark.parametrize("harder", [1.0, -1.0])
def test_errors_of_harder_and_of_easier_rows_are_expected_to_be_others(losses, harder):
    before = realised(*draw(np.random.default_rng(1), 6000)[1:])
    x, predicted, truth = draw(np.random.default_rng(2), 20_000, harder)
    wanted = realised(predicted, truth)
    for name, (value, _) in losses.estimate(x, predicted).items():
        assert abs(value - wanted[name]) < abs(before[name] - wanted[name]) / 4


@pytest.mark.long
def test_the_standard_error_is_what_chance_makes_of_so_many_labels(losses):
    rng, away = np.random.default_rng(3), {"mae": [], "rmse": []}
    for _ in range(100):
        x, predicted, truth = draw(rng, 500)
        wanted = realised(predicted, truth)
        for name, (value, error) in losses.estimate(x, predicted).items():
            away[name].append((wanted[name] - value) / error)
    for name, values in away.items():
        assert 0.75 < np.std(values) < 1.25, name


@pytest.mark.long
def test_a_category_is_one_and_rows_of_a_group_stay_together():
    rng = np.random.default_rng(4)
    kind = rng.integers(0, 3, 3000).astype(float)
    truth = rng.normal(size=3000) * np.array([1.0, 5.0, 1.0])[kind.astype(int)]
    fitted = Losses.fit(kind[:, None], np.zeros(3000), truth, categories=[0], groups=np.arange(3000) // 10, seed=1)
    small, large = (
        fitted.estimate(np.full((10, 1), one), np.zeros(10))["rmse"][0] for one in (0.0, 1.0)
    )  # fmt: skip
    assert (small, large) == (pytest.approx(1, rel=0.15), pytest.approx(5, rel=0.15))


@pytest.mark.long
def test_learning_by_heart_gains_nothing_where_groups_are_kept_apart():
    """A number that names the customer tells each one's errors, which says nothing of other customers."""
    rng = np.random.default_rng(5)
    customer = np.repeat(np.arange(150.0), 20)
    truth = rng.normal(size=3000) * np.repeat(rng.gamma(1.0, size=150), 20)
    common = (customer[:, None], np.zeros(3000), truth)
    apart, mixed = Losses.fit(*common, groups=customer, seed=1), Losses.fit(*common, seed=1)
    assert len(apart.models["rmse"].text) < len(mixed.models["rmse"].text)
    assert apart.models["rmse"].dispersion > mixed.models["rmse"].dispersion


def test_without_rows_or_errors_there_is_no_model():
    x, predicted, truth = draw(np.random.default_rng(6), 499)
    assert Losses.fit(x, predicted, truth) is None
    x, predicted, _ = draw(np.random.default_rng(6), 600)
    assert Losses.fit(x, predicted, predicted) is None


def test_the_models_are_read_as_they_were_written_and_nothing_else_is(losses, tmp_path):
    def bundle(text):
        return Bundle(tmp_path, None, {} if text is None else {LOSSES: text.encode()}, "")

    x, predicted, _ = draw(np.random.default_rng(7), 100)
    assert Losses.read(bundle(losses.to_json())).estimate(x, predicted) == losses.estimate(x, predicted)
    with pytest.raises(BundleError, match="without models of its errors"):
        Losses.read(bundle(None))
    for wrong in ('{"format": 2}', '{"format": 1, "models": {}}', "[]"):
        with pytest.raises(BundleError, match="cannot be used"):
            Losses.read(bundle(wrong))
