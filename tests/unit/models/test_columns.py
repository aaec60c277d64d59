import math

import numpy as np
import pandas as pd
import pytest

from loopwright.data import typed
from loopwright.errors import InputError
from loopwright.models import columns

ROW = {"plan": "basic", "tenure": 3, "charges": 20.5, "senior": False}


def test_rows_lists_arrays_and_frames_give_the_same_columns(inputs):
    rows = [ROW, {"plan": None, "tenure": 4, "charges": None, "senior": True}]
    lists = [list(row.values()) for row in rows]
    arrays = {
        "plan": np.array(["basic", ""], dtype=object),
        "tenure": np.array([[3], [4]]),
        "charges": np.array([20.5, np.nan]),
        "senior": np.array([False, True]),
    }
    first = columns.from_rows(inputs, rows)
    for other in (
        columns.from_lists(inputs, lists),
        columns.from_arrays(inputs, arrays),
        columns.from_frame(inputs, pd.DataFrame(rows)),
    ):
        assert list(other) == list(first)
        for name, array in first.items():
            assert other[name].dtype == array.dtype
            np.testing.assert_array_equal(other[name], array)
    assert first["senior"].tolist() == [0.0, 1.0]


def test_white_space_around_text_is_none_of_it_as_in_training(inputs):
    rows = [{**ROW, "plan": plan} for plan in (" basic", "basic\t", "\u00a0basic ")]
    assert columns.from_rows(inputs, rows)["plan"].tolist() == ["basic"] * 3
    assert columns.from_rows(inputs, [*rows, {**ROW, "plan": None}])["plan"].tolist() == [*["basic"] * 3, None]
    assert typed.strings(pd.Series([row["plan"] for row in rows])).tolist() == ["basic"] * 3
    read = columns.row_reader(inputs)
    assert read([" basic ", *list(ROW.values())[1:]]) == read(list(ROW.values())) is not None


@pytest.mark.parametrize("missing", [None, float("nan"), "", "  "])
def test_none_nan_and_blank_text_are_missing_in_both_kinds(inputs, missing):
    found = columns.from_rows(inputs, [{**ROW, "plan": missing, "charges": missing}])
    assert found["plan"].tolist() == [None]
    assert math.isnan(found["charges"][0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tenure": "three"},
            'column "tenure": found the text "three"; expected a number, or null where it is missing',
        ),
        ({"plan": 3}, 'column "plan": found the number 3; expected text, or null where it is missing'),
        ({"plan": True}, 'column "plan": found true; expected text'),
        ({"charges": [1]}, 'column "charges": found a list; expected a number'),
        ({"senior": {}}, 'column "senior": found an object; expected true or false'),
        ({"tenure": 10**400}, 'column "tenure": found a whole number that is too large'),
        ({"tenur": 3}, 'column "tenur" is unknown; expected "tenure"'),
    ],
)
def test_a_wrong_value_is_refused_by_column_with_what_was_found_and_expected(inputs, change, message):
    with pytest.raises(InputError) as caught:
        columns.from_rows(inputs, [{**ROW, **change}])
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_missing_column_is_refused_and_the_row_is_named_when_there_are_several(inputs):
    with pytest.raises(InputError, match=r'row 1: column "charges" is missing; expected all of plan, tenure'):
        columns.from_rows(inputs, [ROW, {name: value for name, value in ROW.items() if name != "charges"}])


def test_ignored_columns_may_be_carried_and_are_left_out(inputs):
    found = columns.from_rows(inputs, [{**ROW, "customer": "c1"}], ignored=("customer",))
    assert "customer" not in found
    with pytest.raises(InputError, match='"customer" is unknown'):
        columns.from_rows(inputs, [{**ROW, "customer": "c1"}])


def test_a_list_of_another_length_is_refused_with_the_order(inputs):
    with pytest.raises(InputError, match="found 2 values; expected 4, in the order plan, tenure, charges, senior"):
        columns.from_lists(inputs, [["basic", 1]])


def test_rows_that_are_no_objects_are_refused(inputs):
    with pytest.raises(InputError, match="row 1: found the number 3; expected an object of column and value"):
        columns.from_rows(inputs, [ROW, 3])


def test_arrays_of_different_lengths_are_refused(inputs):
    arrays = {name: np.array([value, value]) for name, value in ROW.items()}
    with pytest.raises(InputError, match='column "senior" has 1 values; expected 2, as column "plan" has'):
        columns.from_arrays(inputs, {**arrays, "senior": np.array([True])})
    with pytest.raises(InputError, match=r'"tenure" has the shape \[1, 2\]; expected \[n\] or \[n, 1\]'):
        columns.from_arrays(inputs, {**arrays, "tenure": np.array([[1, 2]])})


def test_nullable_and_categorical_frames_are_read_as_plain_ones(inputs):
    frame = pd.DataFrame({**{name: [value, value] for name, value in ROW.items()}, "tenure": [1, None]})
    frame["tenure"] = frame["tenure"].astype("Int64")
    frame["plan"] = frame["plan"].astype("category")
    found = columns.from_frame(inputs, frame)
    np.testing.assert_array_equal(found["tenure"], [1.0, np.nan])
    assert found["plan"].tolist() == ["basic", "basic"]


def test_rows_come_back_as_json_can_carry_them(inputs):
    rows = [{"plan": None, "tenure": 4.0, "charges": None, "senior": 1.0}]
    assert columns.to_rows(columns.from_rows(inputs, rows)) == rows
