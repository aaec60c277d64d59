import tempfile
from datetime import UTC, datetime
from unittest.mock import Mock

import pandas as pd
import pytest
from click.testing import CliRunner

from loopwright.cli.main import command
from loopwright.data import contract, joins, snapshots
from loopwright.errors import DataError
from loopwright.steps import look, split, validate

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def test_a_look_finds_what_a_check_of_the_whole_frame_finds(small, small_folder, tmp_path):
    path = small_folder / "rows.csv"
    path.write_text(path.read_text().replace("premium", "gold", 3))
    found = look.look(small, small_folder, tmp_path, NOW)
    whole = contract.check(joins.read(small, small_folder), small, NOW)
    assert found.outcome.report() == whole.report()
    assert found.outcome.aside == 3
    some = found.some(small, 10)
    assert some["left"].value_counts().to_dict() == {"Yes": 10, "No": 10}
    assert set(some.columns) == set(whole.valid.columns)
    assert set(some["customer"]) < set(whole.valid["customer"])


def test_check_splits_all_rows_as_a_run_does_and_tries_feature_code_on_a_rare_class_too(
    small, small_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(validate, "BATCH_ROWS", 1000)
    rows = pd.read_csv(small_folder / "rows.csv")
    rows = pd.concat([rows] * 4, ignore_index=True).assign(left="No")
    rows["customer"] = [f"c{one}" for one in range(len(rows))]
    rare = rows.index[::80]
    rows.loc[rare, "left"] = "Yes"
    rows.to_csv(small_folder / "rows.csv", index=False)
    run = split.split(
        small, look.look(small, small_folder, tmp_path, NOW).valid, tmp_path / "one.parquet", tmp_path / "two.parquet"
    )
    text = (small_folder / "loop.yaml").read_text()
    (small_folder / "features.py").write_text("def features(columns):\n    return columns\n")
    (small_folder / "loop.yaml").write_text(text.replace("model: {", "model: {features: features.py, "))
    told = CliRunner().invoke(command, ["check", str(small_folder)], standalone_mode=False)
    assert told.exception is None
    shown = " ".join(told.output.split())
    assert f"3,200 rows can be used (0 set aside), {run['training']:,} train and {run['holdout']:,} judge" in shown


def test_a_folder_without_room_is_told_with_what_to_set(small, small_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"No such file or directory; expected room .* Set TMPDIR"), look.scratch():
        raise AssertionError("there is no folder")
    full = OSError(28, "No space left on device")
    for where, what in ((snapshots, "put"), (look, "gone_through")):
        with monkeypatch.context() as patched:
            patched.setattr(where, what, Mock(side_effect=full))
            with pytest.raises(DataError, match=r"No space left on device; expected room .* Set TMPDIR"):
                look.look(small, small_folder, tmp_path, NOW)


def test_a_source_that_cannot_be_read_is_told_as_a_run_would(small, tmp_path):
    with pytest.raises(DataError, match=r"rows\.csv"):
        look.look(small, tmp_path, tmp_path, NOW)
