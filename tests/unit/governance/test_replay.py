import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from loopwright import declaration, environment
from loopwright.errors import DataError, LoopwrightError, RecordError
from loopwright.governance import again, checkout, rebuilt
from loopwright.governance.again import Asked
from loopwright.governance.again import outcome as came_of
from loopwright.governance.replay import ask, differs, moved, recorded, snapshot_file


def asked(estimator="own:made", **packages):
    now = environment.read()
    made_with = {**now, "packages": {**now["packages"], **packages}}
    model = {"model": {"estimator": estimator}}
    return Asked(1, model, "", 1, None, "none", "none", "none", made_with, {}, "")


def of(**code):
    return SimpleNamespace(code=SimpleNamespace(facts={"revision": "1" * 40, "dirty": False, **code}))


def test_what_is_installed_here_besides_is_no_other_environment():
    less = asked()
    del less.environment["packages"]["pytest"]
    assert differs(less) == []
    assert differs(asked(gone="1.0")) == ["gone 1.0, now not there"]


def test_an_estimator_of_its_own_is_at_hand_only_where_the_recorded_code_is():
    now = {"revision": "1" * 40, "dirty": False, "remote": "elsewhere"}
    assert moved(of(), asked(), now) == []
    assert moved(of(), asked("lightgbm"), {**now, "revision": "2" * 40}) == []
    for other in (None, {**now, "revision": "2" * 40}, {**now, "dirty": True, "patch_sha256": "0"}):
        assert moved(of(), asked(), other) == ["the code was that of revision 111111111111"]
    assert moved(of(dirty=True), asked(), now) == ["the code was that of revision 111111111111 with changes"]


def process(tmp_path, monkeypatch, code):
    """What asks another process, whose program is a file of `code`."""
    (tmp_path / "standin.py").write_text(f"import json, os, sys\n{code}\n")
    monkeypatch.setattr(again, "__name__", "standin")
    return ask(sys.executable, asked(), tmp_path, [tmp_path])


@pytest.mark.parametrize(
    "code",
    [
        "",
        "open(sys.argv[2], 'w').write('{')",
        "json.dump({'outcome': 'identical'}, open(sys.argv[2], 'w'))",
        "json.dump({'error': 'of another release'}, open(sys.argv[2], 'w'))",
        "json.dump([], open(sys.argv[2], 'w'))",
    ],
)
def test_a_process_that_ends_without_an_answer_is_an_error_in_words(tmp_path, monkeypatch, code):
    with pytest.raises(RecordError, match="without an answer that can be read"):
        process(tmp_path, monkeypatch, code)


def test_a_process_that_is_killed_is_an_error_in_words(tmp_path, monkeypatch):
    with pytest.raises(RecordError, match="the training failed: it was ended by SIGKILL"):
        process(tmp_path, monkeypatch, "os.kill(os.getpid(), 9)")


def test_what_the_repetition_met_keeps_its_exit_code_and_tells_what_was_not_as_recorded(
    tmp_path, monkeypatch, small_declaration
):
    (tmp_path / "loop.yaml").write_text(small_declaration)
    declared = json.loads(declaration.load(tmp_path).to_json())
    declared["model"]["estimator"] = "own:made"
    wanted = replace(asked(), loop=declared)
    code = checkout.Source((), ("new.py is not recorded",))
    monkeypatch.setattr(checkout, "made", lambda *_: code)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    # The recorded environment is at hand, and so nothing is installed.
    monkeypatch.setattr(rebuilt, "made", None)
    with pytest.raises(LoopwrightError) as found:
        recorded(of(), wanted, tmp_path, str)
    # A real process was asked, and the folder of the registered bundle is nowhere.
    assert found.value.exit_code == 8
    assert str(found.value).startswith("trained again: ")
    assert "(not as it was recorded: new.py is not recorded)" in str(found.value)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_another_release_asks_for_is_refused_in_words(tmp_path):
    (tmp_path / "asked.json").write_text(json.dumps({"version": 1, "more": 2}))
    assert again.main([str(tmp_path / "asked.json"), str(tmp_path / "told.json")]) == 0
    error = json.loads((tmp_path / "told.json").read_text())["error"]
    assert error["exit_code"] == 15
    assert "another release's words" in error["found"]


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
