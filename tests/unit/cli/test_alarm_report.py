"""Which rows the report of an alarm shows: archived events where they are written, the source's otherwise."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loopwright.archive.layout import Key
from loopwright.cli import alarm_report
from loopwright.cli.context import Context
from loopwright.errors import DataError, LedgerError

NINE = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.fixture
def context(small_folder):
    """The small loop with an archive, version 3, and an alarm about it at ten."""
    path = small_folder / "loop.yaml"
    path.write_text(path.read_text() + "\nmonitor: {archive: {url: events}}\n")
    made = Context.of(str(small_folder))
    made.settings.snapshots.mkdir(parents=True)
    pd.read_csv(small_folder / "rows.csv").to_parquet(made.settings.snapshots / "abc.parquet")
    made.ledger.append("small", "registered", {"version": 3, "snapshot": "abc", "digest": "d"})
    made.ledger.append(
        "small", "alarm", {"version": "3", "starts_at": "2026-11-20T10:00:00+00:00", "window_seconds": 3600.0}
    )
    return made


@pytest.fixture
def shown(monkeypatch):
    """What was to be drawn; nothing is."""
    calls = SimpleNamespace(now=None, before=None)

    def write(loop, before, now, path):
        calls.before, calls.now = before, now

    monkeypatch.setattr("loopwright.report.drift_report.write", write)
    return calls


def archive(context, minutes):
    """Events of version 3 that were received in these minutes after nine."""
    rows = [NINE.replace(minute=minute) for minute in minutes]
    table = pa.table(
        {
            "prediction_id": [f"p{minute}" for minute in minutes],
            "received_at": pa.array(rows, pa.timestamp("us", tz="UTC")),
            "prediction": [0.5] * len(rows),
            "age": [float(minute) for minute in minutes],
            "plan": ["premium"] * len(rows),
        }
    )
    path = context.settings.state / "events" / Key.new("small", "3", rows[0], len(rows)).path
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)


def test_the_archived_events_of_the_window_are_shown(context, shown):
    archive(context, [0, 30, 59])
    page = alarm_report.write(context, 2)
    assert page == context.settings.state / "reports" / "alarm-2.html"
    assert shown.now["age"].tolist() == [0.0, 30.0, 59.0]
    # A column that is not kept, as it is redacted, has no values.
    assert shown.now["spend"].isna().all()
    (reported,) = context.ledger.entries("small", kind="reported")
    assert (reported.cause, reported.facts["of"], reported.facts["rows"]) == (2, "archive", 3)
    assert reported.facts["reference_rows"] == len(shown.before)


def test_where_events_are_not_written_yet_the_sources_rows_are_shown(context, shown):
    with pytest.raises(DataError, match="there are no rows from 2026-11-20 09:00 to 2026-11-20 10:00"):
        alarm_report.write(context, 2)
    rows = pd.read_csv(context.folder / "rows.csv").head(7).assign(seen="2026-11-20T09:30:00Z")
    rows.to_csv(context.folder / "rows.csv", index=False)
    alarm_report.write(context, 2)
    assert len(shown.now) == 7
    assert context.ledger.entries("small", kind="reported")[0].facts["of"] == "source"


def test_a_page_elsewhere_is_not_in_the_ledger(context, shown, tmp_path):
    archive(context, [5])
    assert alarm_report.write(context, 2, tmp_path / "page.html") == tmp_path / "page.html"
    assert context.ledger.entries("small", kind="reported") == []


def test_an_entry_that_is_no_alarm_or_whose_version_is_not_known_is_named(context):
    with pytest.raises(LedgerError, match="entry 1 is no alarm of small"):
        alarm_report.write(context, 1)
    context.ledger.append("small", "alarm", {"version": "9", "starts_at": "2026-11-20T10:00:00+00:00"})
    with pytest.raises(DataError, match="what version 9 of small was trained on"):
        alarm_report.write(context, 3)
