import json
from types import SimpleNamespace

import numpy as np
import pytest

from loopwright.errors import BundleError
from loopwright.models import sampled
from loopwright.models.bundle import ATTRIBUTIONS, Bundle
from loopwright.models.features import FeatureSpec

RANDOM = np.random.default_rng(5)
ROWS = RANDOM.normal(size=(40, 5))
BEGIN = np.array([0.5, -0.5, 0.0, 1.0, 2.0])


def pairwise(matrix):
    return matrix @ [1.0, 2.0, 0.0, -1.0, 0.5] + 3 * matrix[:, 0] * matrix[:, 1] + 1


def test_values_are_exact_where_two_features_act_together_at_most():
    found = sampled.contribute(pairwise, BEGIN, ROWS)
    wanted = (ROWS - BEGIN) * [1.0, 2.0, 0.0, -1.0, 0.5]
    # The Shapley value of a product is half of what each changes with the other at either end.
    both = (ROWS[:, :2] - BEGIN[:2]) * (ROWS[:, 1::-1] + BEGIN[1::-1]) / 2 * 3
    wanted[:, :2] += both
    np.testing.assert_allclose(found[:, :-1], wanted, atol=1e-12)
    assert (found[:, -1] == pairwise(BEGIN[None])[0]).all()


def several(matrix):
    scores = np.exp(matrix[:, :3] * matrix[:, 2:5])
    return scores / scores.sum(axis=1, keepdims=True)


def test_contributions_of_any_score_add_up_for_each_class(monkeypatch):
    found = sampled.contribute(several, BEGIN, ROWS)
    assert found.shape == (40, 3, 6)
    np.testing.assert_allclose(found.sum(axis=2), several(ROWS), atol=1e-12)
    # How many rows go into one call changes nothing, and neither does who else is asked about.
    monkeypatch.setattr(sampled, "_ROWS_AT_ONCE", 1)
    np.testing.assert_array_equal(sampled.contribute(several, BEGIN, ROWS[:7]), found[:7])


def test_a_feature_that_is_as_in_the_reference_adds_nothing():
    rows = ROWS.copy()
    rows[:, 1] = BEGIN[1]
    assert (sampled.contribute(several, BEGIN, rows)[:, :, 1] == 0).all()


def test_a_sample_is_near_to_the_average_of_all_orders():
    from itertools import permutations

    found, exact = sampled.contribute(several, BEGIN, ROWS)[:, :, :-1], np.zeros((40, 3, 5))
    orders = list(permutations(range(5)))
    for order in orders:
        mixed = np.tile(BEGIN, (40, 1))
        before = several(mixed)
        for at in order:
            mixed[:, at] = ROWS[:, at]
            after = several(mixed)
            exact[:, :, at] += (after - before) / len(orders)
            before = after
    assert np.abs(found - exact).mean() < 0.05 * np.abs(exact).mean()


def test_the_reference_has_medians_and_the_most_frequent_codes():
    specs = [FeatureSpec(name="a", kind="number"), FeatureSpec(name="b", kind="category", values=("x", "y"))]
    specs.append(FeatureSpec(name="c", kind="number"))
    matrix = np.array([[1.0, 0.0, np.nan], [2.0, 1.0, np.nan], [9.0, 1.0, np.nan], [np.nan, np.nan, np.nan]])
    assert sampled.reference(matrix, specs).tolist() == pytest.approx([2.0, 1.0, np.nan], nan_ok=True)


def test_a_reference_that_is_none_is_said_to_be_unusable(tmp_path):
    def read(content):
        manifest = SimpleNamespace(features=("a", "b"))
        return sampled.read(Bundle(tmp_path, manifest, {ATTRIBUTIONS: json.dumps(content).encode()}, ""))

    assert read({"reference": [1, None]}).tolist() == pytest.approx([1.0, np.nan], nan_ok=True)
    assert read({}) is None
    for wrong in ({"reference": ["x", 1]}, {"reference": [1]}, {"reference": {}}, {"reference": "x"}, [], "text"):
        with pytest.raises(BundleError, match=r"cannot be used: .* expected 2 numbers, one a feature"):
            read(wrong)
