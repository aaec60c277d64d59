"""Cells of any source as the types of their columns."""

import pandas as pd

from loopwright import declaration
from loopwright.data import typed


def test_values_that_are_no_numbers_are_missing_and_booleans_are(churn_declaration):
    loop = declaration.parse(churn_declaration.replace("age: {type: number}", "age: {type: boolean}"))
    frame = typed.inputs(loop, pd.DataFrame({"age": ["true", "No", "?", None], "plan": ["basic ", None, 3, ""]}))
    assert frame["age"].tolist()[:2] == [1.0, 0.0]
    assert frame["age"].isna().tolist() == [False, False, True, True]
    assert frame["plan"].tolist() == ["basic", None, "3", None]


def test_text_of_a_csv_file_and_values_of_parquet_are_the_same(churn_declaration):
    loop = declaration.parse(churn_declaration)
    text = pd.DataFrame({"age": ["41", "0.1", ""], "plan": ["basic", "premium", None]})
    values = pd.DataFrame({"age": [41, 0.1, None], "plan": pd.Categorical(["basic", "premium", None])})
    assert typed.inputs(loop, text).equals(typed.inputs(loop, values))


def test_an_input_that_the_source_does_not_have_is_missing_in_every_row(churn_declaration):
    frame = typed.inputs(declaration.parse(churn_declaration), pd.DataFrame({"plan": ["basic", "premium"]}))
    assert frame["age"].isna().all()
    assert frame["plan"].tolist() == ["basic", "premium"]
