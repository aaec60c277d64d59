"""Batches read for a model: the same values and the same rows set aside as the contract's own check finds."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from loopwright import declaration
from loopwright.data import tables
from loopwright.data.contract import REASONS, Check
from loopwright.errors import ContractError
from loopwright.models import columns as inputs_of
from loopwright.scoring.rows import Reader, beside, unjudged

DECLARED = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: dirty}
data:
  source: rows.csv
  label: {column: y}
  contract:
    whole: {type: integer, min: -5, max: 50, missing: 1}
    number: {type: number, min: 0, missing: 1}
    few: {values: [1, 2, 3], missing: 1}
    truth: {type: boolean, missing: 1}
    code: {pattern: "[A-Z]{2}", missing: 1}
    plan: {values: [basic, premium], missing: 1}
    free: {type: string, missing: 1}
    lax: {type: number, max: 1, policy: warn, missing: 1}
  rules:
    - {expression: number <= whole * 10, name: not too much}
    - {expression: plan == 'basic' or free != 'x'}
model: {task: classification}
"""
TEXTS = {
    "whole": ["1", " 7 ", "49.0", "2.5", "51", "-9", "", "  ", "x", "1e1", "nan", "inf", "+3", None],
    "number": ["0.1", "12", "-0.5", "1e400", "", " 3.25", "1,5", "NaN", "1e-3", "99", "+1.5", None],
    "few": ["1", "2", "3", "4", "", "3.0", "a", None],
    "truth": ["true", "False", "yes", "no", "1", "0", "2", "", "maybe", " TRUE ", None],
    "code": ["AB", "CD", "abc", "", " EF ", None],
    "plan": ["basic", "premium", " basic", "gold", "", None],
    "free": ["x", "y", "a b", "   ", "", None, "ä"],
    "lax": ["0.5", "2", "", None],
}


@pytest.fixture(scope="module")
def loop():
    return declaration.parse(DECLARED)


def dirty(seed: int, rows: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({name: random.choice(np.array(some, dtype=object), rows) for name, some in TEXTS.items()})
    return frame.assign(y="Yes")


def compare(loop, frame: pd.DataFrame, batch: pa.RecordBatch) -> None:
    valid, aside = Check(loop).add(frame)
    found = Reader(loop, inputs_of.specs(loop.inputs))(batch)
    assert found.batch.num_rows == len(valid)
    for name, values in found.columns.items():
        expected = valid[name].to_numpy()
        if values.dtype == object:
            assert values.tolist() == [None if pd.isna(value) else value for value in expected]
            assert values.tolist() == found.coded[name].array.tolist()
        else:
            np.testing.assert_allclose(values, expected.astype(float), rtol=1e-15)
    assert found.aside is not None
    told = [set(text.split("; ")) for text in found.aside.column(REASONS).to_pylist()]
    assert told == [set(text.split("; ")) for text in aside[REASONS]]


@pytest.mark.parametrize("seed", range(5))
def test_text_of_a_csv_file_is_judged_as_the_contract_judges_it(loop, seed) -> None:
    frame = dirty(seed)
    compare(loop, frame, pa.RecordBatch.from_pandas(frame, preserve_index=False))


@pytest.mark.parametrize("seed", range(5))
def test_typed_columns_are_judged_as_the_contract_judges_them(loop, seed) -> None:
    random = np.random.default_rng(seed)
    frame = dirty(seed)
    rows = len(frame)
    frame["whole"] = pd.array(random.integers(-9, 60, rows), dtype="Int64")
    frame.loc[::7, "whole"] = pd.NA
    frame["number"] = np.where(random.random(rows) < 0.1, np.nan, random.normal(30, 20, rows))
    frame.loc[3, "number"] = np.inf
    frame["few"] = random.integers(0, 5, rows).astype(np.float32)
    frame["truth"] = random.random(rows) < 0.5
    batch = pa.RecordBatch.from_pandas(frame, preserve_index=False)
    shown = pa.Table.from_batches([batch]).to_pandas(integer_object_nulls=True)
    compare(loop, shown, batch)
    coded = batch.set_column(batch.schema.get_field_index("plan"), "plan", batch.column("plan").dictionary_encode())
    compare(loop, shown, coded)


def test_a_column_without_any_value_and_ones_of_odd_types_are_read(loop) -> None:
    frame = dirty(1, 20)
    batch = pa.RecordBatch.from_pandas(frame, preserve_index=False)
    odd = {
        "number": pa.nulls(20),
        "free": pa.array([pd.Timestamp("2026-01-01")] * 20, pa.timestamp("us")),
        "code": pa.array(pd.Categorical(["AB", None] * 10)),
        "plan": pa.nulls(20),
    }
    for name, values in odd.items():
        batch = batch.set_column(batch.schema.get_field_index(name), name, values)
    compare(loop, pa.Table.from_batches([batch]).to_pandas(), batch)


def test_bytes_read_as_the_same_text_as_in_training(loop) -> None:
    table = pa.table({"free": pa.array([b"1", None, b"1"])})
    (trained,) = tables.plain(table).to_pydict().values()
    for array in (table["free"].chunk(0), table["free"].chunk(0).dictionary_encode()):
        batch = pa.RecordBatch.from_pydict({"free": array})
        reader = Reader(loop, [spec for spec in inputs_of.specs(loop.inputs) if spec.name == "free"])
        reader._rules = []
        assert reader(batch).columns["free"].tolist() == trained


def test_a_missing_value_is_set_aside_where_none_is_accepted_and_counted_elsewhere(small) -> None:
    frame = pd.DataFrame({"age": [20, None, 30], "spend": [1.0, 2.0, None], "plan": ["basic", "basic", "premium"]})
    reader = Reader(small, inputs_of.specs(small.inputs))
    found = reader(pa.RecordBatch.from_pandas(frame))
    assert found.kept.tolist() == [True, False, True]
    assert found.aside.column(REASONS).to_pylist() == ["age: missing (a value in every row)"]
    assert (dict(reader.broken), dict(reader.missing)) == ({"age: missing": 1}, {"spend": 1})


def test_a_rule_whose_policy_is_to_fail_stops_the_job(small_declaration) -> None:
    text = small_declaration.replace("values: [basic, premium]", "values: [basic, premium], policy: fail")
    loop = declaration.parse(text)
    frame = pd.DataFrame({"age": [20], "spend": [1.0], "plan": ["gold"]})
    with pytest.raises(ContractError, match="plan: 1 rows break `values`"):
        Reader(loop, inputs_of.specs(loop.inputs))(pa.RecordBatch.from_pandas(frame))


def test_an_input_that_the_contract_no_longer_has_is_taken_as_it_is(loop, small) -> None:
    frame = pd.DataFrame({"age": [20.0], "spend": [1.0], "plan": ["gold"]})
    found = Reader(loop, inputs_of.specs(small.inputs))(pa.RecordBatch.from_pandas(frame))
    assert found.batch.num_rows == 0  # `plan` is in both contracts, and gold is in neither
    frame["plan"] = "basic"
    assert Reader(loop, inputs_of.specs(small.inputs))(pa.RecordBatch.from_pandas(frame)).batch.num_rows == 1


def test_what_is_about_other_columns_than_the_models_is_named(loop):
    inputs = inputs_of.specs({name: column for name, column in loop.inputs.items() if name not in ("free", "code")})
    assert unjudged(loop, inputs) == ["code", "free", "plan == 'basic' or free != 'x'"]
    assert unjudged(loop, inputs_of.specs(loop.inputs)) == []
    assert unjudged(loop, inputs, ["free"]) == ["code"]
    assert beside(loop, inputs) == ["code", "free"]


def test_what_the_model_does_not_take_is_judged_where_the_rows_have_it_as_the_contract_judges_it(loop) -> None:
    taken = {name: column for name, column in loop.inputs.items() if name not in ("whole", "free", "code")}
    reader = Reader(loop, inputs_of.specs(taken))
    frame = dirty(5)
    _, aside = Check(loop).add(frame)
    found = reader(pa.RecordBatch.from_pandas(frame))
    assert found.aside is not None
    told = [sorted(one.split("; ")) for one in found.aside.column(REASONS).to_pylist()]
    assert told == [sorted(one.split("; ")) for one in aside[REASONS].tolist()]
    assert reader.broken["code: pattern"] > 0
    assert reader.broken["not too much: rule"] > 0
    assert list(found.columns) == list(taken)
    # Without these columns the rules about them say nothing.
    less = reader(pa.RecordBatch.from_pandas(frame.drop(columns=["whole", "free", "code"])))
    reasons = " ".join(less.aside[REASONS].to_pylist())
    assert not any(name in reasons for name in ("code:", "whole:", ": rule"))
