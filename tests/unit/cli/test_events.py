"""The archived events at the command line: what there is, how many, a window as a file, and what is said otherwise."""

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loopwright.archive.layout import Key
from loopwright.cli.events import events
from loopwright.errors import DataError, DeclarationError

NINE = datetime(2025, 11, 20, 9, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, churn_declaration: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A loop with an archive in its state folder: 4 rows of version 1 and 2 of version 2, a minute apart."""
    monkeypatch.delenv("LOOPWRIGHT_STATE", raising=False)
    (tmp_path / "loop.yaml").write_text(churn_declaration + "monitor: {archive: {url: kept, retention: 30d}}")
    for version, first, rows in (("1", NINE, 4), ("2", NINE + timedelta(days=1), 2)):
        moments = [first + timedelta(minutes=number) for number in range(rows)]
        times = pa.array(moments, pa.timestamp("us", tz="UTC"))
        table = pa.table({"prediction_id": [f"{version}-{number}" for number in range(rows)], "received_at": times})
        stream = io.BytesIO()
        pq.write_table(table, stream)
        path = tmp_path / ".loopwright" / "kept" / Key.new("churn", version, first, rows).path
        path.parent.mkdir(parents=True)
        path.write_bytes(stream.getvalue())
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    events.main([str(one) for one in arguments], standalone_mode=False)
    return capsys.readouterr().out


def test_files_are_listed_by_version_and_day(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(answer(capsys, "list", folder, "--json"))
    assert found["url"] == f"file://{folder}/.loopwright/kept"
    days = [(day["version"], day["date"], day["files"], day["rows"]) for day in found["days"]]
    assert days == [("1", "2025-11-20", 1, 4), ("2", "2025-11-21", 1, 2)]
    assert "2025-11-21        1            2      0.0" in answer(capsys, "list", folder, "--version", "2")
    assert "no events of churn" in answer(capsys, "list", folder, "--end", "2025-01-01")


def test_events_of_a_window_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(answer(capsys, "count", folder, "--json")) == {"events": 6, "versions": {"1": 4, "2": 2}}
    text = answer(capsys, "count", folder, "--start", "2025-11-20T09:01", "--end", "2025-11-20T09:03")
    assert text.split() == ["version", "1", "2", "together", "2"]


def test_a_window_is_exported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = folder / "out.csv"
    assert "6 events are in" in answer(capsys, "export", folder, "--to", target, "--columns", "prediction_id")
    assert pd.read_csv(target)["prediction_id"].tolist() == ["1-0", "1-1", "1-2", "1-3", "2-0", "2-1"]


def test_what_is_older_than_the_retention_is_deleted_on_demand(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loopwright.durations.time.time", lambda: (NINE + timedelta(days=30, hours=2)).timestamp())
    assert json.loads(answer(capsys, "expire", folder, "--json")) == {"deleted": 1}
    assert json.loads(answer(capsys, "count", folder, "--json"))["versions"] == {"2": 2}


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        (["--start", "yesterday"], click.BadParameter, "is no moment; expected one such as"),
        (["--since", "7"], click.BadParameter, "a number with its unit"),
        (["--since", "7d", "--start", "2026-01-01"], click.UsageError, "give one"),
        (["--start", "2026-01-02", "--end", "2025-01-01"], DataError, "not after it begins"),
    ],
)
def test_a_window_that_cannot_be_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        answer(capsys, "count", folder, *options)


def test_a_loop_that_keeps_no_events_says_how_to_keep_them(
    folder: Path, capsys: pytest.CaptureFixture[str], churn_declaration: str
) -> None:
    (folder / "loop.yaml").write_text(churn_declaration)
    with pytest.raises(DeclarationError, match=r"churn keeps no events; expected `monitor: {archive:"):
        answer(capsys, "list", folder)
    (folder / "loop.yaml").write_text(churn_declaration + "monitor: {archive: {url: kept, retention: null}}")
    with pytest.raises(DeclarationError, match="retention is null"):
        answer(capsys, "expire", folder)
