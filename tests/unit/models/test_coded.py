"""Text columns by their distinct values: the matrix is the same as from the values themselves."""

import numpy as np
import pytest

from loopwright.models import features
from loopwright.models.coded import Coded


@pytest.fixture
def plan() -> Coded:
    return Coded(("pro", "basic", "never seen", None), np.array([1, 0, 3, 2, 1]))


def test_the_column_has_a_value_a_row(plan) -> None:
    assert plan.array.tolist() == ["basic", "pro", None, "never seen", "basic"]
    assert plan.only(np.array([True, False, False, True, False])).array.tolist() == ["basic", "never seen"]


def test_the_matrix_is_the_same_with_and_without_the_codes(plan) -> None:
    columns = {"plan": plan.array, "n": np.arange(5.0)}
    encode = features.Encoder(features.fit_spec({"plan": np.array(["basic", "pro"], dtype=object), "n": np.zeros(2)}))
    np.testing.assert_array_equal(encode(columns, {"plan": plan}), encode(columns))


@pytest.mark.parametrize("code", ["columns['plan'][::-1]", "np.roll(columns['plan'], 1)", "columns['plan'].copy()"])
def test_a_column_that_feature_code_changed_is_not_taken_for_the_one_that_came(plan, code) -> None:
    changed = features.load(f"import numpy as np\ndef features(columns):\n    return {{'plan': {code}}}\n")
    encode = features.Encoder(features.fit_spec({"plan": np.array(["basic", "pro"], dtype=object)}))
    seen = changed({"plan": plan.array})
    assert not plan.holds(seen["plan"])
    np.testing.assert_array_equal(encode(seen, {"plan": plan}), encode(seen))


def test_a_column_that_feature_code_passes_on_is_known_again(plan) -> None:
    same = features.load("def features(columns):\n    return {**columns}\n")
    assert plan.holds(same({"plan": plan.array})["plan"])
