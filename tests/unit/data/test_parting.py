"""A split of a file's rows is the split of the frame, whatever the batches that it is read in."""

from pathlib import Path

import pandas as pd
import pytest

from loopwright.data import contract, parting, splits
from loopwright.errors import DataError
from loopwright.loop import Loop


def judged_by(loop: Loop, by: str) -> Loop:
    holdout = loop.data.holdout.model_copy(update={"by": by})
    return loop.model_copy(update={"data": loop.data.model_copy(update={"holdout": holdout})})


@pytest.fixture
def valid(small: Loop, small_rows: pd.DataFrame) -> pd.DataFrame:
    return contract.check(small_rows, small).valid


@pytest.mark.parametrize("by", ["entity", "time", "random"])
@pytest.mark.parametrize("moments", ["hours", "days", "days at first"])
def test_both_sides_are_those_of_the_frame(
    small: Loop, valid: pd.DataFrame, by: str, moments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parting, "BATCH_ROWS", 97)
    if moments != "hours":
        some = valid["seen"].dt.normalize()
        valid = valid.assign(seen=some if moments == "days" else some.where(valid.index < 97, valid["seen"]))
    file = tmp_path / "valid.parquet"
    valid.to_parquet(file, index=False)
    loop, paths = judged_by(small, by), (tmp_path / "training.parquet", tmp_path / "holdout.parquet")
    judged = parting.judging(file, loop)
    parting.write(file, judged, *paths)
    for whole, path, mask in zip(splits.split(valid, loop), paths, (~judged, judged), strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(path), whole, check_dtype=False)
        with parting.opened(file) as table:
            side = parting.Rows(table, mask)
            assert len(side) == len(whole)
            for name in ("plan", "age", "plan"):
                assert side[name].tolist() == whole[name].tolist()


def test_a_part_that_is_too_small_is_refused_as_in_a_frame(small: Loop, valid: pd.DataFrame, tmp_path: Path) -> None:
    valid.head(30).to_parquet(tmp_path / "valid.parquet", index=False)
    messages = []
    for split in (lambda: parting.judging(tmp_path / "valid.parquet", small), lambda: splits.split(valid[:30], small)):
        with pytest.raises(DataError, match="30 rows leave") as raised:
            split()
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
