"""Partitions as Parquet: one type a column, within a part and in all parts of a unit."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loopwright.errors import DataError
from loopwright.scoring.partition import IdType, parquet


def written(parts, name="id"):
    """The parts of a unit, as they are read back."""
    ids, found = IdType(name, "the query"), []
    for part in parts:
        batches = list(ids.seen(iter([pa.record_batch({"id": pa.array(values)}) for values in part])))
        found.append(pq.read_table(io.BytesIO(parquet(batches, ids.schema()))))
    return found


def test_a_part_of_numbers_and_text_is_text() -> None:
    (made,) = written([[[1, 2], [None, 3], ["x"]]])
    assert made["id"].to_pylist() == ["1", "2", None, "3", "x"]


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (["a"], [1], pa.string()), ([None], [1], pa.string()), ([1], [None], pa.int64()), ([0.5], [1], pa.float64()),
    ],
)  # fmt: skip
def test_the_first_part_fixes_the_type_of_those_after_it(first, second, kind) -> None:
    assert [one.schema.field("id").type for one in written([[first], [second]])] == [kind, kind]


def test_text_after_a_part_of_numbers_is_refused_with_what_to_do() -> None:
    with pytest.raises(
        DataError, match="gives the id column id as string after partitions that have it as integer"
    ) as at:
        written([[[1, 2]], [["x"]]])
    assert "CAST" in str(at.value)


def test_numbered_rows_have_no_id_to_fix() -> None:
    (made,) = written([[[1]]], name=None)
    assert made["id"].to_pylist() == [1]
