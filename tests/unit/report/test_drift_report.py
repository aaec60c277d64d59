from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from loopwright import declaration
from loopwright.errors import DataError
from loopwright.report import drift_report


@pytest.fixture
def loop(small_declaration):
    return declaration.parse(small_declaration)


def make(rows, spend=100.0, first="2026-03-01", plans=("basic", "premium")):
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "customer": np.arange(rows),
            "seen": pd.date_range(first, periods=rows, freq="h", tz="UTC").strftime("%Y-%m-%dT%H:%M:%SZ"),
            "age": rng.integers(18, 90, rows),
            "spend": rng.normal(spend, 20, rows).round(2),
            "plan": rng.choice(plans, rows),
            "left": rng.integers(0, 2, rows),
        }
    )


def test_the_reference_is_the_inputs_of_the_snapshot(loop, tmp_path):
    make(48).to_parquet(tmp_path / "a.parquet")
    frame = drift_report.reference(loop, tmp_path / "a.parquet")
    assert list(frame.columns) == ["age", "spend", "plan"]
    assert (len(frame), frame["age"].dtype) == (48, np.float64)
    with pytest.raises(DataError, match="is not here"):
        drift_report.reference(loop, tmp_path / "b.parquet")


def test_the_window_is_the_sources_rows_of_its_time(loop, tmp_path):
    make(48).to_csv(tmp_path / "rows.csv", index=False)
    end = datetime(2026, 3, 1, 23, tzinfo=UTC)
    assert len(drift_report.from_source(loop, tmp_path, end - timedelta(hours=5), end)) == 5
    with pytest.raises(DataError, match="there are no rows from 2026-04-01 00:00"):
        drift_report.from_source(loop, tmp_path, datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC))
