import pytest

from loopwright.errors import DataError
from loopwright.governance.again import outcome as came_of
from loopwright.governance.replay import snapshot_file


def test_a_snapshot_is_found_in_the_state_folder_in_another_one_and_in_a_bucket(tmp_path):
    for name in ("state", "other", "bucket", "copy"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "abc.parquet").write_bytes(b"other")
    (tmp_path / "bucket" / "abc.parquet").write_bytes(b"bucket")
    state, copy = tmp_path / "state", tmp_path / "copy"
    assert snapshot_file(state, "abc", str(tmp_path / "other"), copy).read_bytes() == b"other"
    assert snapshot_file(state, "abc", f"file://{tmp_path}/bucket", copy).read_bytes() == b"bucket"
    (state / "abc.parquet").write_bytes(b"state")
    assert snapshot_file(state, "abc", f"file://{tmp_path}/bucket", copy).read_bytes() == b"state"


@pytest.mark.parametrize("place", [None, "there", "file:///nowhere/at/all"])
def test_a_snapshot_that_is_nowhere_is_named_with_what_to_do(tmp_path, place):
    with pytest.raises(DataError, match=r"abc.*(--snapshots|see the bucket|See the bucket)"):
        snapshot_file(tmp_path, "abc", place, tmp_path)


@pytest.mark.parametrize(
    ("files", "greatest", "outcome"),
    [
        ((), 0.0, "identical"),
        (("origin.json", "model.json"), 0.0, "identical"),
        (("calibration.json", "model.json"), 0.01, "different"),
        (("calibration.json", "model.json"), 0.0, "equal"),
        (("features.py",), 1e-12, "equal"),
        (("profile.json",), 1e-12, "equal"),
        (("model.txt",), 1.0, "different"),
    ],
)
def test_identical_is_only_what_predicts_with_the_same_bytes_the_same(files, greatest, outcome):
    assert came_of(files, greatest, 1.0) == outcome
