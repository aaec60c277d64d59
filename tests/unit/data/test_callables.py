from pathlib import Path

import pytest

from loopwright.data import sources
from loopwright.errors import DataError
from loopwright.loop.source import Source

MODULE = """
from __future__ import annotations

import dataclasses

import pandas as pd
import pyarrow as pa
from neighbour import NUMBER

@dataclasses.dataclass
class Row:
    # What a dataclass is defined in is looked up by its name.
    a: int = 1

def frame():
    return pd.DataFrame({"a": [1, 2], "b": ["x", None]})

def parts():
    yield pa.table({"a": [1]})
    yield pd.DataFrame({"a": [NUMBER]})

def dies():
    yield pa.table({"a": [1]})
    raise OSError("the warehouse went away")

def refused():
    raise OSError("postgresql://ada:hunter2@warehouse/rows does not answer")

def number():
    return 7

def changing():
    yield pa.table({"a": [1]})
    yield pa.table({"b": [1]})

def nothing():
    return pd.DataFrame({"a": []})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.py").write_text(MODULE)
    (tmp_path / "secret.py").write_text('raise OSError("https://x/y?token=hunter2")')
    (tmp_path / "neighbour.py").write_text("NUMBER = 2.5\n")
    return tmp_path


def test_a_function_gives_a_frame_or_batches_of_rows(folder: Path) -> None:
    assert sources.read(Source(python="rows:frame"), folder)["b"].tolist() == ["x", None]
    assert sources.read(Source(python="rows:frame"), folder, ["b"]).columns.tolist() == ["b"]
    assert sources.read(Source(python="rows:parts"), folder)["a"].tolist() == [1.0, 2.5]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("rows:gone", "rows:gone cannot be loaded: AttributeError.*expected a function gone in .*rows.py"),
        ("elsewhere:f", "cannot be loaded: ModuleNotFoundError"),
        ("rows:dies", "rows:dies failed: OSError: the warehouse went away"),
        ("rows:refused", r"rows:refused failed: OSError: postgresql://ada:\*\*\*@warehouse/rows does not answer"),
        ("secret:rows", r"secret:rows cannot be loaded: OSError: https://x/y\?token=\*\*\*;"),
        ("rows:number", "gave int; expected a DataFrame"),
        ("rows:changing", "changes its columns on the way: a, b"),
        ("rows:nothing", "has no rows"),
    ],
)
def test_a_function_that_gives_no_rows_is_told(folder: Path, function: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sources.read(Source(python=function), folder)
