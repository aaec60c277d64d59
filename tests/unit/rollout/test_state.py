import json
import os

import pytest

from loopwright.errors import RolloutError, StateError
from loopwright.rollout import resume
from loopwright.rollout.resume import Saved
from loopwright.rollout.state import (
    SERVING,
    STATUS,
    Placement,
    Predictor,
    Serving,
    Status,
    read_serving,
    read_status,
    write_serving,
    write_status,
)

ONE, TWO = Placement(1, "/bundles/1", "aa"), Placement(2, "/bundles/2", "bb", 5)


def test_what_is_wanted_is_read_as_it_was_written(tmp_path):
    for serving in (Serving(), Serving(stable=ONE), Serving(stable=ONE, canary=TWO)):
        write_serving(tmp_path, serving)
        assert read_serving(tmp_path) == serving


def test_the_file_says_one_weight_and_the_stable_version_has_the_rest(tmp_path):
    write_serving(tmp_path, Serving(stable=ONE, canary=TWO))
    assert json.loads((tmp_path / SERVING).read_text()) == {
        "stable": {"version": 1, "bundle": "/bundles/1", "digest": "aa"},
        "canary": {"version": 2, "bundle": "/bundles/2", "digest": "bb", "weight": 5},
    }
    assert read_serving(tmp_path).weights() == {1: 95, 2: 5}
    assert Serving(stable=ONE).weights() == {1: 100}
    assert Serving().weights() == {}


def test_what_is_observed_is_read_as_it_was_written(tmp_path):
    status = Status(7, 1.5, {"gateway": "http://127.0.0.1:1"}, {2: Predictor("ready", 1, 2, 3, 4)}, {1: 95, 2: 5})
    write_status(tmp_path, status)
    assert read_status(tmp_path) == status


def test_nothing_is_wanted_or_observed_where_nothing_was_written(tmp_path):
    assert read_serving(tmp_path / "none") == Serving()
    assert read_status(tmp_path / "none") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stable": {"version": 1}}', '{"stable": 3}'])
def test_a_damaged_file_says_so_and_what_to_do(tmp_path, text):
    (tmp_path / SERVING).write_text(text)
    with pytest.raises(StateError, match=r"serving\.json is damaged.*Stop `loopwright up`"):
        read_serving(tmp_path)


@pytest.mark.parametrize("text", ["{}", '{"pid": "x", "started": 1}', "[1]"])
def test_a_damaged_status_says_so(tmp_path, text):
    (tmp_path / STATUS).write_text(text)
    with pytest.raises(StateError, match=r"status\.json is damaged"):
        read_status(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be written"):
        write_serving(tmp_path / "file", Serving())


def test_what_is_wanted_survives_a_machine_that_goes_down_and_what_is_observed_need_not(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    write_status(tmp_path, Status(7, 1.5))
    assert synced == []
    write_serving(tmp_path, Serving(stable=ONE))
    assert len(synced) == 2, "the file and its folder"
    resume.save(tmp_path / "rollout.json", Saved(2, "/bundles/2", "bb", 1, (5,), 1, 1, 1.0))
    assert len(synced) == 4


def test_a_second_rollout_is_refused_naming_the_first_and_the_lock_ends_with_it(tmp_path):
    path = tmp_path / "live" / "rollout.lock"
    with resume.alone(path, 12):
        refused = pytest.raises(RolloutError, match=f"process {os.getpid()} is rolling out version 12; expected one")
        with refused, resume.alone(path, 3):
            pytest.fail("two rollouts")
    with resume.alone(path, 3):
        assert path.read_text() == f"{os.getpid()} 3"


def test_a_lock_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(StateError, match=r"file/rollout\.lock cannot be opened"),
        resume.alone(tmp_path / "file" / "rollout.lock", 3),
    ):
        pytest.fail("no lock")
