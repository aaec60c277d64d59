import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from loopwright.data import spool
from loopwright.data.spool import HASH, Spool
from loopwright.errors import DataError

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def rows(folder: Path, parts: list[pa.Table], held: int) -> list[dict[str, object]]:
    with Spool(folder, held) as kept:
        for part in parts:
            kept.add(part)
        found = pa.concat_tables(list(kept.parts()))
    assert found[HASH].to_pylist() == sorted(found[HASH].to_pylist())
    return list(found.drop_columns([HASH]).to_pylist())


def test_order_and_types_are_the_same_on_disk_and_in_memory_however_the_rows_were_cut(tmp_path: Path) -> None:
    whole = pa.table({"a": list(range(3000)), "b": [None, *map(str, range(2999))]})
    held = rows(tmp_path, [whole], 1 << 30)
    assert held != whole.to_pylist()
    assert rows(tmp_path, [whole.slice(2000), whole.slice(0, 1), whole.slice(1, 1999)], 1000) == held
    fractions = pa.table({"b": ["x"], "a": [0.5]})
    mixed = rows(tmp_path, [whole, fractions], 1000)
    assert mixed == rows(tmp_path, [fractions, whole], 1 << 30)
    assert {type(row["a"]) for row in mixed} == {float}
    assert list(tmp_path.iterdir()) == []


def test_only_rows_since_a_moment_are_given_back_and_those_of_none_where_they_are_wanted(tmp_path: Path) -> None:
    moments = pa.array([NOON, NOON + timedelta(hours=1), None], pa.timestamp("us", "UTC"))
    for held in (0, 1 << 20):
        with Spool(tmp_path, held) as kept:
            kept.add(pa.table({"a": ["old", "new", "never"]}), moments)
            since = NOON + timedelta(minutes=1)
            assert kept.count(since) == 1
            assert _column(kept.parts(since)) == ["never", "new"]
            assert _column(kept.parts(since, unknown=False)) == ["new"]
            assert _column(kept.parts()) == ["never", "new", "old"]


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    for name, age in ((".spool-old", spool.STALE_SECONDS + 60), (".spool-young", 60)):
        (tmp_path / name).mkdir()
        moment = datetime.now(UTC).timestamp() - age
        os.utime(tmp_path / name, (moment, moment))
    rows(tmp_path, [pa.table({"a": [1]})], 0)
    assert [path.name for path in tmp_path.iterdir()] == [".spool-young"]


@pytest.mark.parametrize("other", [{"a": ["x", "yz"], "b": ["1", "2"]}, {"a": ["x", None], "b": ["", "12"]}])
def test_values_do_not_run_into_each_other(other: dict[str, list[str | None]]) -> None:
    one = pa.table({"a": ["xy", ""], "b": ["z", "12"]})
    assert not set(spool.hashes(one).to_pylist()) & set(spool.hashes(pa.table(other)).to_pylist())


def _column(parts: object) -> list[str]:
    return sorted(value for part in parts for value in part["a"].to_pylist())  # type: ignore[attr-defined]


def test_whole_numbers_that_no_float_holds_are_not_rounded_on_the_way(tmp_path: Path) -> None:
    fractions = pa.table({"a": [0.5]})
    for large in (2**53, -(2**53) - 1):
        with pytest.raises(DataError, match=r"the column a has whole numbers above 2\^53 in one part and fractions"):
            rows(tmp_path, [pa.table({"a": [large]}), fractions], 1 << 20)
    assert len(rows(tmp_path, [pa.table({"a": [2**53 - 1, None]}), fractions], 1 << 20)) == 3
