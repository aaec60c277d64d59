"""The report of an alarm, from a real version's snapshot and the source's rows, by the command."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from loopwright.ledger import Ledger


@pytest.mark.long
def test_the_rows_of_an_alarm_are_shown_beside_those_that_its_version_learnt_from(
    loopwright, small_folder: Path
) -> None:
    version = loopwright.json("run")["version"]
    source = small_folder / "rows.csv"
    rows = pd.read_csv(source)
    live = rows.head(400).assign(seen="2027-01-01T12:30:00Z", spend=rows["spend"] * 3, plan="premium")
    pd.concat([rows, live]).to_csv(source, index=False)
    ledger = Ledger(f"sqlite:///{small_folder / '.loopwright' / 'ledger.db'}")
    facts = {
        "source": "drift",
        "group": "g1",
        "version": str(version),
        "features": [{"name": "spend", "distance": 0.6, "score": 20.0}],
        "starts_at": datetime(2027, 1, 1, 13, tzinfo=UTC).isoformat(),
        "window_seconds": 3600.0,
        "summary": "spend drifted",
    }
    alarm = ledger.append("small", "alarm", facts).number
    page = Path(loopwright.json("report", "--alarm", str(alarm))["report"])
    text = page.read_text()
    assert all(name in text for name in ("age", "spend", "plan"))
    # Pictures, script and style are in it: a page from a ledger must open years later, and tell nobody that it did.
    assert 'src="http' not in text
    (reported,) = ledger.entries("small", kind="reported")
    assert (reported.cause, reported.facts["rows"], reported.facts["of"]) == (alarm, 400, "source")
    assert loopwright.json("report", "--alarm", str(alarm))["report"] == str(page)
    assert len(ledger.entries("small", kind="reported")) == 1
    wrong = loopwright("report", "--alarm", str(reported.number))
    assert wrong.returncode == 5
    assert f"entry {reported.number} is no alarm of small" in wrong.stderr
    early = ledger.append("small", "alarm", {**facts, "starts_at": "2035-01-01T00:00:00+00:00"}).number
    nothing = loopwright("report", "--alarm", str(early))
    assert nothing.returncode == 3
    assert "there are no rows from" in nothing.stderr
