import os
import stat
from pathlib import Path

import pytest

from loopwright import files


@pytest.fixture
def done(monkeypatch):
    """What was asked of the disk, in order."""
    seen, fsync, replace = [], os.fsync, Path.replace

    def synced(descriptor):
        seen.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def replaced(path, target):
        seen.append("replace")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    return seen


def test_a_durable_file_is_on_the_disk_before_it_has_its_name_and_so_is_the_name_at_the_end(tmp_path, done):
    files.write_json(tmp_path / "a.json", {"x": 1}, durable=True)
    assert done == ["file", "replace", "folder"]
    assert files.read_json(tmp_path / "a.json") == {"x": 1}


def test_other_files_do_not_wait_for_the_disk(tmp_path, done):
    files.write_text(tmp_path / "a", "text")
    assert done == ["replace"]


def test_a_folder_that_cannot_be_synced_does_no_harm(tmp_path, monkeypatch):
    fsync = os.fsync

    def refuses(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuses)
    files.write_text(tmp_path / "a", "text", durable=True)
    assert (tmp_path / "a").read_text() == "text"


def test_a_file_that_cannot_be_put_on_the_disk_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    files.write_text(tmp_path / "a", "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(tmp_path / "a", "new", durable=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_new_file_is_created_once_also_without_hard_links(tmp_path, monkeypatch):
    def refused(path, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    assert [files.create_bytes(tmp_path / "a", content) for content in (b"one", b"two")] == [True, False]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"one"
