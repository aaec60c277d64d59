"""skew at the command line: archived predictions beside the loop's source, the table, JSON, and the exit codes."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loopwright.archive.layout import Key
from loopwright.cli.skew import gauges, skew
from loopwright.data import typed
from loopwright.declaration import load
from loopwright.errors import DataError, LimitError
from loopwright.performance.skew import compare

NINE = datetime(2026, 4, 1, 9, tzinfo=UTC)


@pytest.fixture
def folder(small_folder, monkeypatch):
    """The small loop, whose 800 customers were predicted for in the morning; `spend` came in cents for one in four."""
    monkeypatch.delenv("LOOPWRIGHT_STATE", raising=False)
    monkeypatch.delenv("LOOPWRIGHT_PUSHGATEWAY_URL", raising=False)
    with (small_folder / "loop.yaml").open("a") as file:
        file.write("monitor: {archive: {url: kept}}\n")
    rows = pd.read_csv(small_folder / "rows.csv", dtype=str)
    asked = typed.inputs(load(small_folder), rows)
    asked["spend"] = asked["spend"].where(np.arange(800) % 4 > 0, asked["spend"] * 100)
    columns = {name: pa.array(asked[name]) for name in asked}
    times = pa.array([NINE + timedelta(seconds=number) for number in range(800)], pa.timestamp("us", tz="UTC"))
    table = pa.table(
        {
            "prediction_id": [f"p{number}" for number in range(800)],
            "received_at": times,
            "predicted_at": times,
            "prediction": np.linspace(0, 1, 800),
            **columns,
        }
    )
    path = small_folder / ".loopwright" / "kept" / Key.new("small", "3", NINE, 800).path
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    named = pd.DataFrame({"prediction_id": [f"p{number}" for number in range(800)], "customer": rows["customer"]})
    named.to_csv(small_folder / "requests.csv", index=False)
    return small_folder


def answer(capsys, *arguments):
    code = skew.main([str(one) for one in arguments], standalone_mode=False)
    return code, capsys.readouterr().out


def test_a_unit_that_changed_for_some_is_told_with_an_exit_code(folder, capsys):
    code, text = answer(capsys, folder, "--ids", "requests.csv", "--json")
    found = json.loads(text)
    one = found["features"][0]
    assert (code, found["exit_code"], found["joined"], found["unmatched"]) == (12, 12, 800, 0)
    assert (one["feature"], one["beyond"]) == ("spend", True)
    # What was missing in both is the same.
    assert 0.22 < one["share"] < 0.25
    assert [other["differ"] for other in found["features"][1:]] == [0, 0]
    with pytest.raises(LimitError, match="1 of 3 inputs differ from what is held offline: spend"):
        answer(capsys, folder, "--ids", "requests.csv")
    shown = capsys.readouterr().out
    assert "800 predictions with an offline row of their entity, 0 without" in shown
    assert "spend: offline " in shown


def test_what_is_declared_is_no_skew(folder, capsys):
    text = (folder / "loop.yaml").read_text().replace("kept}", "kept}, skew: {max_share_of: {spend: 0.3}}")
    (folder / "loop.yaml").write_text(text)
    assert answer(capsys, folder, "--ids", "requests.csv")[0] == 0


def test_the_offline_side_may_be_a_database_and_the_online_side_a_file(folder, capsys):
    import sqlite3

    rows = pd.read_csv(folder / "rows.csv", dtype=str)
    with sqlite3.connect(folder / "store.db") as database:
        rows.to_sql("features", database)
    rows.assign(at="2026-04-01T09:00:00Z").to_parquet(folder / "asked.parquet")
    common = ("--online", "asked.parquet", "--time-column", "at", "--offline", f"sqlite:///{folder}/store.db")
    code, text = answer(capsys, folder, *common, "--query", "SELECT * FROM features", "--json")
    assert code == 0
    assert json.loads(text)["joined"] == 800
    with pytest.raises(DataError, match="the query gives no column seen"):
        answer(capsys, folder, *common, "--query", "SELECT customer FROM features")


def test_what_cannot_be_compared_says_what_is_missing(folder, capsys):
    with pytest.raises(DataError, match=r"none of the 800 predictions has an offline row.*--ids"):
        answer(capsys, folder)
    with pytest.raises(DataError, match="no archived events of small in the window"):
        answer(capsys, folder, "--end", "2026-01-01")
    with pytest.raises(DataError, match=r"rows\.csv has no column prediction_id"):
        answer(capsys, folder, "--ids", "rows.csv")
    text = (folder / "loop.yaml").read_text().replace("  entity: customer\n", "").replace("by: entity", "by: random")
    (folder / "loop.yaml").write_text(text)
    with pytest.raises(DataError, match="skew is about entities"):
        answer(capsys, folder)


def test_what_was_found_is_pushed(small, small_rows):
    from loopwright.pushgateway import text

    online = small_rows.rename(columns={"seen": "predicted_at"}).assign(age="20")
    pushed = text(gauges(compare(small, small_rows, online)))
    assert 'loopwright_skew_share{feature="spend"} 0.0' in pushed
    assert 'loopwright_skew_beyond{feature="age"} 1.0' in pushed
    assert "loopwright_skew_rows{} 800.0" in pushed
