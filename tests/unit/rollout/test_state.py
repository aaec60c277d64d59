import json
import os

import pytest

from loopwright.errors import StateError
from loopwright.rollout.counts import UNKNOWN, Arm
from loopwright.rollout.evidence import Step
from loopwright.rollout.pairs import Pairs
from loopwright.rollout.resume import Paused, Saved
from loopwright.rollout.state import (
    SERVING,
    STATUS,
    Placement,
    Predictor,
    Serving,
    Split,
    Status,
    read_serving,
    read_status,
    write_serving,
    write_status,
)
from loopwright.rollout.states import Command, FileStates, Held

ONE, TWO = Placement(1, "/bundles/1", "aa"), Placement(2, "/bundles/2", "bb", 5)
TWO_STABLE = Placement(2, "/bundles/2", "bb")


def test_what_is_wanted_is_read_as_it_was_written(tmp_path):
    split = Split(cookie="loopwright-churn", seconds=60)
    for serving in (
        Serving(),
        Serving(stable=ONE),
        Serving(stable=ONE, canary=TWO),
        Serving(stable=TWO_STABLE, kept=ONE),
        Serving(stable=ONE, canary=TWO, mirror=True),
        Serving(stable=ONE, canary=TWO, split=split),
        Serving(stable=ONE, canary=TWO, split=Split("x-group", ("beta", "inner"))),
    ):
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
    status = Status(
        7, 1.5, {"gateway": "http://127.0.0.1:1"}, {2: Predictor("ready", 1, 2, 3, 4)}, {1: 95, 2: 5},
        mirrored=2, split=True,
    )  # fmt: skip
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
    FileStates(tmp_path).save(Saved(2, "/bundles/2", "bb", 1, (5,), 1, 1, 1.0))
    assert len(synced) == 4


def test_a_weight_that_is_none_is_refused(tmp_path):
    for weight in (101, -5, "half", 2.5):
        placed = {"version": 2, "bundle": "/b", "digest": "bb", "weight": weight}
        (tmp_path / SERVING).write_text(json.dumps({"stable": None, "canary": placed}))
        with pytest.raises(StateError, match=f"version 2 has the weight {weight}; expected 0 to 100"):
            read_serving(tmp_path)


def test_a_second_rollout_is_refused_naming_the_first_and_the_lock_ends_with_it(tmp_path):
    states, path = FileStates(tmp_path / "live"), tmp_path / "live" / "rollout.lock"
    with states.alone(12):
        refused = pytest.raises(Held, match=f"process {os.getpid()} is rolling out version 12; expected one")
        with refused, states.alone(3):
            pytest.fail("two rollouts")
    with states.alone(3):
        assert path.read_text() == f"{os.getpid()} 3"


def test_a_lock_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(StateError, match=r"file/rollout\.lock cannot be opened"),
        FileStates(tmp_path / "file").alone(3),
    ):
        pytest.fail("no lock")


def test_a_command_is_read_as_it_was_told_and_a_damaged_one_says_so(tmp_path):
    states = FileStates(tmp_path)
    assert states.command() is None
    command = Command("pause", "ada", "lunch", 12.5)
    states.tell(command)
    assert FileStates(tmp_path).command() == command
    for text in ('{"kind": "explode", "who": "ada"}', "[]", "{", '{"kind": "pause"}'):
        (tmp_path / "rollout-command.json").write_text(text)
        with pytest.raises(StateError, match=r"rollout-command\.json cannot be read"):
            states.command()
    states.clear_command()
    assert states.command() is None


def test_the_state_is_read_as_it_was_saved(tmp_path):
    states = FileStates(tmp_path)
    assert states.load() is None
    arm = Arm(10, 1, 0, 10, 2, (3.0, 7.0), 4, 0.5, 0.1)
    saved = Saved(
        2, "/bundles/2", "bb", 1, (0, 5, 100), 1, 4, 1.5, "shadow", "stepping", 1, 3.0,
        before=arm, begun=UNKNOWN, base=(arm, UNKNOWN), done=(Step(0, arm, arm),), pairs=Pairs(7, 2, "a.1", "b.2"),
        beyond={"queue": (2.0, 3)}, asked=5, asking=25, paused=Paused("ada", "lunch", 4.0, 30), by="ada",
    )  # fmt: skip
    states.save(saved)
    assert repr(states.load()) == repr(saved), "by their text, as NaN differs from itself"
    states.tell(Command("pause", "ada"))
    states.clear()
    assert (states.load(), states.command()) == (None, None)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"version": 2}'])
def test_a_damaged_state_says_so_and_what_to_do(tmp_path, text):
    (tmp_path / "rollout.json").write_text(text)
    with pytest.raises(StateError, match=r"rollout\.json cannot be read.*[Rr]emove the file"):
        FileStates(tmp_path).load()
