from pathlib import Path
from unittest.mock import patch

import obstore
import pandas as pd
import pytest

from loopwright.data import files, sources
from loopwright.errors import DataError


def test_csv_is_read_as_text_and_only_an_empty_cell_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("country,amount\nNA,1.50\n,2\nNone,\n")
    frame = sources.read("a.csv", tmp_path)
    assert frame["country"].tolist()[0] == "NA"
    assert frame["country"].isna().tolist() == [False, True, False]
    assert frame["amount"].tolist()[:2] == ["1.50", "2"]


def test_a_folder_and_a_glob_are_read_in_the_order_of_their_names_without_files_half_written(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "b.csv").write_text("x\n2\n")
    (folder / "a.csv").write_text("x\n1\n")
    (folder / ".c.csv").write_text("x\n3\n")
    (folder / "notes.txt").write_text("not data")
    assert sources.read("data", tmp_path)["x"].tolist() == ["1", "2"]
    assert sources.read("data/b*.csv", tmp_path)["x"].tolist() == ["2"]


def test_parquet_is_known_by_its_content_and_keeps_its_types(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1, 2]}).to_parquet(tmp_path / "a.data")
    assert sources.read("a.data", tmp_path)["x"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty; expected a header and rows"),
        ("a.csv", b"x,y\n", "has no rows"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\x00\x00\xff", "is neither CSV nor Parquet"),
        ("a.csv", b'x,y\n1,2,3\n"', "is neither CSV nor Parquet"),
        ("a.parquet", b"x\n1\n", "is neither CSV nor Parquet: it does not begin as Parquet does"),
        ("a.parquet", b"PAR1 and then nothing", "is neither CSV nor Parquet"),
    ],
)
def test_a_file_that_is_no_data_is_named_with_what_to_do(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        sources.read(name, tmp_path)


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no data at .*gone\.csv.*correct `data\.source`|Correct `data"):
        sources.read("gone.csv", tmp_path)
    with pytest.raises(DataError, match="is a folder without data files"):
        sources.read(".", tmp_path)


def test_a_half_written_file_alone_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "_rows.csv").write_text("x\n1\n")
    with pytest.raises(DataError, match="there is no data at"):
        sources.read("_rows.csv", tmp_path)


def test_files_that_differ_in_columns_are_refused_naming_the_odd_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    with pytest.raises(DataError, match=r"b\.csv differs .* y, z"):
        sources.read("*.csv", tmp_path)


def test_only_the_columns_asked_for_are_read_and_an_absent_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    assert list(sources.read("a.csv", tmp_path, ["y"]).columns) == ["y"]
    with pytest.raises(DataError, match="z"):
        sources.read("a.csv", tmp_path, ["z"])


def test_what_lies_in_a_hidden_folder_below_the_source_is_no_data(tmp_path: Path) -> None:
    for folder in (".kept/data", ".kept/data/.ipynb_checkpoints", ".kept/data/_old", ".kept/data/new"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "a.csv").write_text(f"a\n{folder}\n")
    for source in (".kept/data", ".kept/data/**/*.csv"):
        found = sources.read(source, tmp_path)["a"].tolist()
        assert found == [".kept/data", ".kept/data/new"], source
    memory = obstore.store.MemoryStore()
    for name in ("data/a.csv", "data/.tmp/b.csv", "data/_old/c.csv", "data/new/d.csv"):
        obstore.put(memory, name, b"a\n1\n")
    with patch("loopwright.buckets.connect", return_value=memory):
        for source in ("s3://rows/data", "s3://rows/data/**/*.csv"):
            assert [file.name for file in files.found(source, tmp_path)] == [
                "s3://rows/data/a.csv",
                "s3://rows/data/new/d.csv",
            ]
