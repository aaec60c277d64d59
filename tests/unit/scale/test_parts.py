"""Parts of a file: read one at a time, given to workers in runs of about as many rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loopwright.scale.parts import Columns, Part, at, blocks, head, names, parts


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"n": range(100), "text": [f"t{n}" for n in range(100)]}).to_parquet(path, row_group_size=30)
    return path


def test_the_parts_of_a_file_are_its_rows_in_order(file: Path) -> None:
    found = parts(file)
    assert [part.rows for part in found] == [30, 30, 30, 10]
    assert pd.concat([part.read(["n"]) for part in found])["n"].tolist() == list(range(100))
    assert names(file) == ["n", "text"]
    assert head(found, 40)["n"].tolist() == list(range(40))


def test_rows_are_found_by_their_places_in_any_order(file: Path) -> None:
    places, rows = np.array([95, 3, 31, 2]), np.empty(4)
    for here, frame in at(parts(file), places):
        rows[here] = frame["n"]
    assert rows.tolist() == [95, 3, 31, 2]


@pytest.mark.parametrize(("sizes", "count"), [([30, 30, 30, 10], 2), ([5], 3), ([10] * 7, 3), ([1, 100, 1], 2)])
def test_blocks_hold_every_part_once_in_order_and_none_is_empty(sizes: list[int], count: int) -> None:
    some = [Part(Path("rows"), group, rows) for group, rows in enumerate(sizes)]
    found = blocks(some, count)
    assert [part for block in found for part in block] == some
    assert all(found)
    assert len(found) <= count


def test_blocks_of_like_parts_have_about_as_many_rows() -> None:
    found = blocks([Part(Path("rows"), group, 10) for group in range(20)], 3)
    assert [len(block) for block in found] == [7, 6, 7]


def test_columns_are_read_when_they_are_asked_for() -> None:
    read: list[str] = []

    def column(name: str) -> np.ndarray:
        read.append(name)
        return np.zeros(2)

    some = Columns(["a", "b"], column)
    assert "a" in some
    assert list(some) == ["a", "b"]
    assert not read
    assert len(some["b"]) == 2
    assert read == ["b"]
    with pytest.raises(KeyError):
        some["c"]
