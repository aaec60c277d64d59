import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from loopwright.errors import ContractError
from loopwright.loop import Loop
from loopwright.steps import validate as step


@pytest.fixture
def run(small: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Validate rows in batches of 100, with a `shift` on plan and age; what it says, and where it wrote."""
    monkeypatch.setattr(step, "BATCH_ROWS", 100)
    content = small.model_dump(mode="json")
    content["data"]["contract"]["plan"]["shift"] = 0.1
    content["data"]["contract"]["age"]["shift"] = 0.1
    loop = Loop.model_validate(content)

    def call(rows: pd.DataFrame, last: Any = None) -> tuple[dict[str, Any], Path]:
        rows.to_parquet(tmp_path / "rows.parquet", index=False)
        paths = [tmp_path / "out" / name for name in ("valid.parquet", "aside.parquet", "report.json")]
        return step.validate(loop, tmp_path / "rows.parquet", *paths, None, last), tmp_path / "out"

    return call


def test_valid_rows_and_rows_set_aside_are_written_batch_by_batch(run: Any, small_rows: pd.DataFrame) -> None:
    rows = small_rows.copy()
    rows.loc[[5, 750], "age"] = ["17", "forty"]
    rows.loc[:120, "spend"] = None
    rows["code"] = [None if number % 2 else number for number in range(len(rows))]
    with pytest.raises(ContractError, match="spend"):
        run(rows)
    rows["spend"] = small_rows["spend"]
    facts, out = run(rows)
    assert (facts["rows"], facts["kept"], facts["set_aside"]) == (800, 798, 2)
    valid, aside = pd.read_parquet(out / "valid.parquet"), pd.read_parquet(out / "aside.parquet")
    assert valid["age"].dtype == "float64"
    assert str(valid["seen"].dtype) == "datetime64[us, UTC]"
    assert aside["age"].tolist() == ["17", "forty"]
    assert aside["loopwright_reasons"].tolist() == ["age: min (at least 18)", "age: type (whole numbers)"]
    assert json.loads((out / "report.json").read_text())["violations"][1]["samples"] == ["17"]


def test_data_that_is_stopped_leaves_the_report_and_no_valid_rows(run: Any, small_rows: pd.DataFrame) -> None:
    with pytest.raises(ContractError, match="age: 800 of 800 values are something else"):
        run(small_rows.assign(age="old"))


def test_data_far_from_the_last_that_was_accepted_is_stopped(run: Any, small_rows: pd.DataFrame) -> None:
    facts, out = run(small_rows)
    again, _ = run(small_rows.sample(frac=1, random_state=1), facts)
    assert again["violations"] == []
    moved = small_rows.assign(plan=["premium" if number % 5 else "basic" for number in range(800)])
    with pytest.raises(
        ContractError, match=r"plan: it is 0\.\d\d from the last accepted data .*at most 0\.1 \(`shift`\)"
    ):
        run(moved, facts)
    assert not (out / "valid.parquet").exists()
    assert (out / "report.json").exists()
    older = small_rows.assign(age=[str(60 + number % 30) for number in range(800)])
    with pytest.raises(ContractError, match="age: it is"):
        run(older, facts)


def test_a_moment_that_nanoseconds_do_not_reach_is_valid(run: Any, small_rows: pd.DataFrame) -> None:
    seen = pd.Series(pd.to_datetime(small_rows["seen"], utc=True).dt.as_unit("us"))
    seen[0] = pd.Timestamp("0001-01-01", tz="UTC").as_unit("us")
    _, out = run(small_rows.assign(seen=seen))
    assert pd.read_parquet(out / "valid.parquet")["seen"].min().year == 1


def test_a_check_that_dies_leaves_no_valid_rows(
    run: Any, small_rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = iter([step._table])

    def dies(*some: Any) -> Any:
        try:
            return next(written)(*some)
        except StopIteration:
            raise MemoryError from None

    monkeypatch.setattr(step, "_table", dies)
    with pytest.raises(MemoryError):
        run(small_rows)
    assert not (tmp_path / "out" / "valid.parquet").exists()
