"""loopwright domain: archived events beside the rows of a reference, by a classifier."""

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loopwright.archive.layout import Key
from loopwright.cli.domain import domain
from loopwright.errors import DataError

NINE = datetime(2025, 11, 20, 9, tzinfo=UTC)
DAY = timedelta(days=1)


def rows(n: int, *, turned: bool, seed: int) -> pd.DataFrame:
    """Ages and plans whose distributions never change, and that go together one way or the other."""
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 9, n)
    return pd.DataFrame({"age": age, "plan": np.where((age > 40) != turned, "premium", "basic")})


@pytest.fixture
def folder(tmp_path: Path, churn_declaration: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A loop with the rows of its reference, events of a day like them, and of the next day turned round."""
    monkeypatch.delenv("LOOPWRIGHT_STATE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop.yaml").write_text(churn_declaration + "monitor: {archive: {url: kept}}")
    rows(600, turned=False, seed=1).to_parquet("reference.parquet")
    for day in range(2):
        frame = rows(600, turned=day == 1, seed=2 + day)
        moments = [NINE + day * DAY + timedelta(seconds=number) for number in range(len(frame))]
        table = pa.table(
            {
                "prediction_id": [f"{day}-{number}" for number in range(len(frame))],
                "received_at": pa.array(moments, pa.timestamp("us", tz="UTC")),
                "age": frame["age"],
                "plan": frame["plan"],
            }
        )
        stream = io.BytesIO()
        pq.write_table(table, stream)
        path = tmp_path / ".loopwright" / "kept" / Key.new("churn", "1", NINE + day * DAY, len(frame)).path
        path.parent.mkdir(parents=True)
        path.write_bytes(stream.getvalue())
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    domain.main([str(one) for one in arguments], standalone_mode=False)
    return capsys.readouterr().out


@pytest.mark.long
def test_values_that_go_together_in_another_way_are_found_and_others_are_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (folder, "--reference", "reference.parquet")
    calm = json.loads(answer(capsys, *given, "--end", "2025-11-21", "--json"))
    assert (calm["version"], calm["events"], calm["reference_rows"], calm["drifted"]) == ("1", 600, 600, False)
    turned = json.loads(answer(capsys, *given, "--start", "2025-11-21", "--end", "2025-11-22", "--json"))
    assert turned["drifted"]
    assert turned["auc"] > 0.9
    assert set(turned["importance"]) == {"age", "plan"}
    text = answer(capsys, *given, "--start", "2025-11-21", "--end", "2025-11-22")
    assert "they can be told apart: area under the ROC curve" in text


def test_what_is_not_there_is_said(folder: Path) -> None:
    for options, message in (
        (["--start", "2025-11-21"], "the ledger does not say what version 1 of churn was trained on"),
        (["--end", "2025-01-01"], "there are no events of churn"),
        (["--reference", "reference.parquet", "--group", "customer"], "churn has no input customer"),
    ):
        with pytest.raises(DataError, match=message):
            domain.main([str(folder), *options], standalone_mode=False)
