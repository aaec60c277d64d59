"""Parts of a file: read one at a time, the rows of each shared out among workers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loopwright.scale.parts import Columns, Part, at, head, names, parts, share


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


@pytest.mark.parametrize(("rows", "count"), [(100, 1), (101, 2), (7, 3), (2, 3)])
def test_every_row_of_a_part_is_in_one_share_and_shares_are_alike_in_size(rows: int, count: int) -> None:
    part = Part(Path("rows"), 0, rows)
    shares = [share(part, rank, count, 7) for rank in range(count)]
    assert (np.sum(shares, axis=0) == 1).all()
    sizes = [int(one.sum()) for one in shares]
    assert max(sizes) - min(sizes) <= 1
    assert all(np.array_equal(one, share(part, rank, count, 7)) for rank, one in enumerate(shares))


@pytest.mark.parametrize("order", [np.arange(10_000), np.arange(10_000) % 2, np.arange(10_000) % 3])
def test_shares_are_alike_however_the_file_is_ordered(order: np.ndarray) -> None:
    part = Part(Path("rows"), 3, 10_000)
    means = [order[share(part, rank, 2, 7)].mean() for rank in range(2)]
    assert means == pytest.approx([order.mean()] * 2, rel=0.05)


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
