from datetime import UTC, datetime

import pandas as pd
import pytest

from loopwright.errors import DataError
from loopwright.loop import Loop
from loopwright.steps.snapshot import snapshot

NOW = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def take(tmp_path):
    """Take a snapshot of 90 days of one row each; what it says, and the rows."""
    days = pd.date_range("2026-01-01", periods=90, tz="UTC")
    frame = pd.DataFrame({"at": days.strftime("%Y-%m-%dT%H:%M:%SZ"), "age": range(90), "churned": [0, 1] * 45})
    frame.to_csv(tmp_path / "churn.csv", index=False)
    loop = Loop.model_validate(
        {
            "apiVersion": "loopwright/v1",
            "kind": "Loop",
            "metadata": {"name": "churn"},
            "data": {
                "source": "churn.csv",
                "timestamp": "at",
                "label": {"column": "churned"},
                "contract": {"age": {"type": "integer"}},
            },
            "model": {"task": "classification"},
        }
    )

    def call(wanted=None, parent=None):
        rows = tmp_path / "work" / "rows"
        return snapshot(loop, tmp_path, tmp_path / "store", rows, NOW, wanted, parent), pd.read_parquet(rows)

    return call


def test_without_a_wish_all_rows_are_taken(take):
    facts, rows = take()
    assert (facts["rows"], len(rows)) == (90, 90)
    assert "since" not in facts


def test_the_rows_since_a_moment_are_taken_where_there_are_enough(take):
    facts, rows = take({"since": "2026-03-02T00:00:00+00:00", "least": 30})
    assert (facts["rows"], facts["rows_since"], facts["left_out"]) == (30, 30, 60)
    assert facts["since"] == "2026-03-02T00:00:00+00:00"
    assert rows["at"].min() == "2026-03-02T00:00:00Z"


def test_where_there_are_too_few_all_are_taken_and_it_is_said(take):
    facts, rows = take({"since": "2026-03-02T00:00:00+00:00", "least": 31})
    assert (facts["rows"], facts["rows_since"], facts["since"]) == (90, 30, None)
    assert len(rows) == 90


def test_a_person_who_asks_for_rows_that_are_not_there_is_told(take):
    with pytest.raises(DataError, match="no labelled row came since 2026-04-01 00:00"):
        take({"since": "2026-04-01T00:00:00+00:00", "least": 0})


def test_a_snapshot_says_what_it_holds_where_it_is_from_and_what_came_before(take):
    first, _ = take()
    assert first["schema"] == {"age": "string", "at": "string", "churned": "string"}
    assert (first["source"], first["parent"], first["revision"]) == ("churn.csv", None, None)
    again, _ = take(parent=first)
    assert (again["id"], again["file_sha256"], again["parent"]) == (first["id"], first["file_sha256"], first["id"])
