import numpy as np
import pytest

from loopwright.errors import DeclarationError
from loopwright.models import features


def text(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def test_categories_are_learnt_sorted_and_unseen_or_missing_ones_are_nan():
    specs = features.fit_spec({"plan": text("pro", None, "basic"), "tenure": np.array([1.0, 2.0, 3.0])})
    assert specs[0].values == ("basic", "pro")
    matrix = features.encode(specs, {"tenure": np.array([np.nan, 5.0, 6.0]), "plan": text("pro", "unseen", None)})
    np.testing.assert_array_equal(matrix, [[1, np.nan], [np.nan, 5], [np.nan, 6]])
    assert matrix.flags.c_contiguous


def test_a_column_that_changes_its_kind_or_name_after_training_is_refused():
    specs = features.fit_spec({"plan": text("pro")})
    with pytest.raises(DeclarationError, match='feature "plan" is a number; expected text, as in training'):
        features.encode(specs, {"plan": np.array([1.0])})
    with pytest.raises(DeclarationError, match="returned the columns other; expected those of the training: plan"):
        features.encode(specs, {"other": text("pro")})


def test_feature_code_that_fails_is_reported_with_its_line():
    code = features.load("def features(columns):\n    return {'x': columns['absent']}\n")
    with pytest.raises(DeclarationError, match=r"features.py, line 2, failed: KeyError: 'absent'"):
        code({"a": np.array([1.0])})
    with pytest.raises(DeclarationError, match=r"features.py, line 1, cannot be run: SyntaxError"):
        features.load("def features(:\n")


def test_a_misspelt_function_is_reported_with_what_was_found():
    with pytest.raises(DeclarationError, match="no function `features` but `feature`"):
        features.load("def feature(columns):\n    return columns\n")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("3", "returned int; expected a dictionary"),
        ("{'x': [1]}", 'returned list for "x"'),
        ("{'x': np.zeros(3)}", r'shape \(3,\) for "x"; expected a NumPy array of shape \(1,\)'),
        ("{'x': np.array([1 + 2j])}", 'returned complex128 for "x"'),
        ("{'x': np.array([1], dtype=object)}", 'returned int in the text column "x"'),
    ],
)
def test_feature_code_must_return_one_array_a_column_as_long_as_its_input(body, message):
    code = features.load(f"import numpy as np\ndef features(columns):\n    return {body}\n")
    with pytest.raises(DeclarationError, match=message):
        code({"a": np.array([1.0])})


def test_feature_code_cannot_change_its_input():
    code = features.load("def features(columns):\n    columns['a'][0] = 9\n    return columns\n")
    given = np.array([1.0])
    with pytest.raises(DeclarationError, match="read-only"):
        code({"a": given})
    assert given.tolist() == [1.0]
    given[0] = 2.0
