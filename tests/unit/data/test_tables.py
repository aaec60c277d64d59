import decimal
from datetime import date, datetime

import pyarrow as pa

from loopwright.data import tables


def test_types_become_few_and_the_index_of_pandas_is_no_column() -> None:
    table = pa.table(
        {
            "small": pa.array([1, None], pa.int8()),
            "half": pa.array([0.1, 1.0], pa.float32()),
            "price": pa.array([decimal.Decimal("1.50"), None]),
            "id": pa.array([decimal.Decimal("12345"), None]),
            "plan": pa.array(["a", "b"]).dictionary_encode(),
            "day": pa.array([date(2026, 1, 1), None], pa.date64()),
            "tags": pa.array([["x", "y"], None]),
            "raw": pa.array([b"\x01", None]),
            "__index_level_0__": [7, 8],
        }
    )
    made = tables.plain(table)
    assert tables.kinds(made.schema) == {
        "day": "date", "half": "number", "id": "integer", "plan": "string", "price": "number", "raw": "string",
        "small": "integer", "tags": "string",
    }  # fmt: skip
    assert made["tags"].to_pylist() == ['["x", "y"]', None]
    assert made["raw"].to_pylist() == ["01", None]


def test_a_value_reads_the_same_whatever_type_its_batch_has() -> None:
    def texts(values: list[object], kind: pa.DataType) -> list[str | None]:
        return list(tables.texts(pa.chunked_array([pa.array(values, kind)])).to_pylist())

    assert texts([1, None], pa.int64()) == texts([1.0, None], pa.float64()) == texts(["1", None], pa.string())
    assert texts([0.1, float("nan"), 1e300], pa.float64()) == ["0.1", None, "1e+300"]
    moments = [datetime(2026, 1, 1, 10), datetime(2026, 1, 1, 10, 0, 0, 120_000)]
    assert texts(moments, pa.timestamp("us")) == texts(moments, pa.timestamp("ns"))
    assert texts(moments, pa.timestamp("us")) == ["2026-01-01 10:00:00", "2026-01-01 10:00:00.12"]


def test_what_differs_from_batch_to_batch_has_a_type_that_holds_both() -> None:
    one = pa.table({"a": pa.nulls(1), "b": [1], "c": [1], "d": [True]})
    two = pa.table({"a": ["x"], "b": [1.5], "c": ["one"], "d": [False], "e": [1]})
    schema = tables.unified(one.schema, two.schema)
    assert tables.kinds(schema) == {"a": "string", "b": "number", "c": "string", "d": "boolean", "e": "integer"}
    both = pa.concat_tables([tables.fitted(one, schema), tables.fitted(two, schema)])
    assert both.to_pydict() == {
        "a": [None, "x"], "b": [1.0, 1.5], "c": ["1", "one"], "d": [True, False], "e": [None, 1]
    }  # fmt: skip
