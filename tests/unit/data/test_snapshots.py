from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from loopwright.data import snapshots, store
from loopwright.errors import DataError
from loopwright.loop import Loop

FRAME = pd.DataFrame({"b": ["2", "1", None], "a": ["x", "y", "z"]})


def test_order_of_rows_and_columns_does_not_change_the_name_but_any_value_does() -> None:
    name = snapshots.identify(FRAME)
    assert snapshots.identify(FRAME.iloc[[2, 0, 1]][["a", "b"]]) == name
    changed = FRAME.copy()
    changed.loc[0, "b"] = "3"
    assert snapshots.identify(changed) != name
    assert snapshots.identify(FRAME.rename(columns={"a": "c"})) != name


def test_values_do_not_run_into_each_other() -> None:
    first = pd.DataFrame({"a": ["x", "yz"], "b": ["1", "2"]})
    second = pd.DataFrame({"a": ["xy", "z"], "b": ["1", "2"]})
    assert snapshots.identify(first) != snapshots.identify(second)


def test_the_same_data_is_written_once(tmp_path: Path) -> None:
    name, path = snapshots.write(FRAME, tmp_path / "store")
    written = path.stat().st_mtime_ns
    assert snapshots.write(FRAME.iloc[::-1], tmp_path / "store") == (name, path)
    assert path.stat().st_mtime_ns == written
    assert [file.name for file in path.parent.iterdir()] == [f"{name}.parquet"]
    snapshots.verify(path)


def test_a_changed_snapshot_is_found(tmp_path: Path) -> None:
    _, path = snapshots.write(FRAME, tmp_path)
    FRAME.assign(b=["2", "1", "9"]).to_parquet(path, index=False)
    with pytest.raises(DataError, match="was changed"):
        snapshots.verify(path)


def test_a_store_that_cannot_be_written_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot be written"):
        snapshots.write(FRAME, tmp_path / "store")


def test_history_keeps_the_newest_rows_and_those_whose_time_cannot_be_read() -> None:
    frame = pd.DataFrame({"t": ["2026-01-01", "2026-01-08", "2026-01-10 12:00", "soon"]})
    kept = snapshots.recent(frame, "t", timedelta(days=3))
    assert kept["t"].tolist() == ["2026-01-08", "2026-01-10 12:00", "soon"]
    newest = snapshots.newest(frame, "t")
    assert newest is not None
    assert newest.isoformat() == "2026-01-10T12:00:00+00:00"


def test_rows_whose_label_may_yet_change_and_rows_of_the_future_are_not_used(small: Loop) -> None:
    label = small.data.label.model_copy(update={"delay": timedelta(days=7)})
    data = small.data.model_copy(update={"label": label, "history": timedelta(days=30)})
    loop = small.model_copy(update={"data": data})
    now = datetime(2026, 3, 31, tzinfo=UTC)
    frame = pd.DataFrame({"seen": ["2099-01-01", "2026-03-30", "2026-03-20", "2026-03-01", "2026-01-01", "?"]})
    assert snapshots.current(frame, loop, now)["seen"].tolist() == ["2026-03-20", "2026-03-01", "?"]
    with pytest.raises(DataError, match=r"none of the 2 rows may be used: all are dated after 2026-03-24.* is 7d"):
        snapshots.current(frame.head(2), loop, now)


def test_a_line_break_in_a_value_is_not_the_end_of_it() -> None:
    first, second = pd.DataFrame({"a": ["x\ny", "z"]}), pd.DataFrame({"a": ["x", "y\nz"]})
    assert snapshots.identify(first) != snapshots.identify(second)


def test_every_byte_of_a_snapshot_counts_where_the_ledger_has_its_files(tmp_path: Path) -> None:
    _, path = snapshots.write(FRAME, tmp_path)
    files = {store.file_digest(path)}
    snapshots.verify(path, files)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match="was changed"):
            snapshots.verify(path, files)


def test_a_byte_of_a_value_is_found_by_the_content_alone(tmp_path: Path) -> None:
    _, path = snapshots.write(FRAME, tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"x", b"w", 1))
    with pytest.raises(DataError, match="was changed: "):
        snapshots.verify(path)
    path.write_bytes(whole[:-20])
    with pytest.raises(DataError, match="was changed: it cannot be read"):
        snapshots.verify(path)


@pytest.mark.parametrize("damage", ["other rows", "no bytes"])
def test_a_file_that_was_changed_is_not_taken_for_the_snapshot_but_written_again(tmp_path, caplog, damage) -> None:
    name, path = snapshots.write(FRAME, tmp_path)
    if damage == "no bytes":
        path.write_bytes(b"")
    else:
        FRAME.assign(b=["2", "1", "9"]).to_parquet(path, index=False)
    assert snapshots.write(FRAME, tmp_path) == (name, path)
    store.verify(path)
    assert "was changed" in caplog.text
    assert "written again" in caplog.text


def test_the_same_rows_in_other_bytes_are_left_as_they_are(tmp_path) -> None:
    _, path = snapshots.write(FRAME, tmp_path)
    pd.read_parquet(path).to_parquet(path, index=False, compression="gzip")
    kept = path.read_bytes()
    snapshots.write(FRAME, tmp_path)
    assert path.read_bytes() == kept
