"""data diff and check at the command line: tables, JSON, and the errors of a name that is none."""

import json

import pandas as pd
import pytest
from click import UsageError
from click.testing import CliRunner

from loopwright.cli.data import data
from loopwright.cli.declare import check
from loopwright.data import snapshots
from loopwright.errors import DataError


@pytest.fixture
def folder(small_folder, monkeypatch):
    monkeypatch.delenv("LOOPWRIGHT_STATE", raising=False)
    return small_folder


def call(command, *arguments):
    result = CliRunner().invoke(command, [*map(str, arguments)], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.output


def test_two_snapshots_are_compared_by_the_beginnings_of_their_ids(folder, small_rows):
    store = folder / ".loopwright" / "snapshots"
    one, _ = snapshots.write(small_rows, store)
    two, _ = snapshots.write(small_rows.iloc[:700].assign(plan="premium", extra="x"), store)
    found = json.loads(call(data, "diff", folder, one[:8], two[:8], "--json"))
    assert found["schema"] == {"added": ["extra"], "removed": [], "retyped": {}}
    assert found["rows"] == {"before": 800, "after": 700}
    shown = call(data, "diff", folder, one[:8], store / f"{two}.parquet")
    assert "rows: 800 -> 700\n" in shown
    assert "columns added: extra" in shown
    assert shown.splitlines()[3].startswith("plan ")


@pytest.mark.parametrize(("name", "message"), [("abc", "there is no snapshot abc"), ("", "2 snapshots begin with")])
def test_a_name_that_is_no_snapshot_is_told(folder, small_rows, name, message):
    store = folder / ".loopwright" / "snapshots"
    snapshots.write(small_rows, store)
    snapshots.write(small_rows.head(1), store)
    with pytest.raises(DataError, match=message):
        call(data, "diff", folder, name, name)


def test_one_name_is_too_few(folder):
    with pytest.raises(UsageError, match="1 given; expected two snapshots"):
        call(data, "diff", "abc")


def test_check_shows_signs_of_leakage_warnings_and_joined_features(folder, small_rows):
    text = (folder / "loop.yaml").read_text()
    added = """
  joins: [{source: table.csv, by: who, at: day, columns: [refund]}]
  rules: [{name: grown up, expression: "age >= 30", policy: warn}]
"""
    text = text.replace("  contract:\n", f"{added}  contract:\n    refund: {{type: number}}\n", 1)
    (folder / "loop.yaml").write_text(text)
    refund = (small_rows["left"] == "Yes").astype(int)
    table = pd.DataFrame({"who": small_rows["customer"], "day": "2025-01-01", "refund": refund})
    table.to_csv(folder / "table.csv", index=False)
    shown = call(check, folder, "--html", folder / "page.html")
    assert "<h1>small: the data</h1>" in (folder / "page.html").read_text()
    assert "leaks  refund: it alone predicts the held-out left with an area under the ROC curve of 1.0000" in shown
    assert "warns  grown up:" in shown
    (folder / "loop.yaml").write_text(text.replace("  joins:", "  leakage: {policy: fail}\n  joins:"))
    with pytest.raises(DataError, match="the data leaks: refund: it alone predicts"):
        call(check, folder)
