"""The steps as a pod runs them: on a folder, and with a place between that is reached by a URL."""

import json

import pytest

from loopwright.errors import DataError
from loopwright.ledger import Ledger
from loopwright.registry import Registry
from loopwright.settings import read
from loopwright.steps import __main__ as process
from loopwright.steps.place import RunPlace


@pytest.fixture
def pod(small, small_folder, tmp_path, monkeypatch):
    """Run some steps as a pod of its own would; returns (exit code, entry, version, lines)."""
    monkeypatch.setenv("LOOPWRIGHT_STATE", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()

    def request(features="", loop=small):
        text = json.dumps({"loop": json.loads(loop.to_json()), "features": features})
        monkeypatch.setenv(process.REQUEST, text)

    def run(*arguments, cause, scratch="scratch", place=str(tmp_path / "state" / "runs"), run="small-1"):
        out = tmp_path / "out"
        code = process.main(
            [
                *(*arguments, f"--run={run}", f"--cause={cause}", f"--root={small_folder}", f"--place={place}"),
                *(f"--scratch={tmp_path / scratch}", f"--outputs={out}"),
            ]
        )
        lines = [json.loads(line) for line in (out / "progress").read_text().splitlines()]
        return code, int((out / "entry").read_text()), int((out / "version").read_text()), lines

    request()
    run.settings, run.request = read(tmp_path), request
    return run


@pytest.mark.long
def test_three_pods_that_share_a_bucket_only_make_a_version_each_caused_by_the_one_before(pod, small, tmp_path):
    url = f"file://{tmp_path}/bucket"
    (tmp_path / "bucket").mkdir()
    ledger = Ledger(pod.settings.ledger_url)
    cause = ledger.append(small.name, "run", {"run": "small-1", "engine": "argo", "by": "Ada"}).number
    code, first, version, lines = pod("snapshot", "validate", "split", cause=cause, place=url, scratch="one")
    assert (code, version) == (0, 0)
    assert [(line["step"], line["state"]) for line in lines][:3] == [
        ("snapshot", "running"),
        ("snapshot", "succeeded"),
        ("validate", "running"),
    ]
    code, second, _, _ = pod("train", cause=first, place=url, scratch="two")
    assert code == 0
    code, third, version, _ = pod("evaluate", "register", cause=second, place=url, scratch="three")
    assert (code, version) == (0, 1)
    chain, number = [], third
    while number is not None:
        entry = ledger.get(number)
        chain.append(entry.kind)
        number = entry.cause
    assert chain[::-1] == ["run", "snapshot", "validated", "split", "trained", "judged", "registered"]
    snapshot = ledger.entries(small.name, kind="snapshot")[0].facts["id"]
    assert (tmp_path / "bucket" / "snapshots" / f"{snapshot}.parquet").exists(), "a pod's state folder may not last"
    assert not (tmp_path / "two" / "small-1" / "rows.parquet").exists(), "only what a step reads is copied to its pod"


@pytest.mark.long
def test_a_pod_that_is_run_again_registers_no_second_version(pod, small):
    pod("snapshot", "validate", "split", "train", cause=0)
    (_, _, first, _), (_, _, again, _) = pod("evaluate", "register", cause=1), pod("evaluate", "register", cause=1)
    assert first == again == 1
    assert [version.number for version in Registry(pod.settings).versions(small.name)] == [1]
    assert len(Ledger(pod.settings.ledger_url).entries(small.name, kind="registered")) == 1
    code, _, _, _ = pod("train", cause=1)
    assert code == 0, "what the attempt before left does not stand in the way"


def test_an_error_is_told_with_its_exit_code_and_ends_the_pod(pod, small):
    pod.request(loop=small.model_copy(update={"data": small.data.model_copy(update={"source": "gone.csv"})}))
    code, _, _, lines = pod("snapshot", "validate", cause=0)
    assert code == DataError.exit_code
    assert [(line["step"], line["state"]) for line in lines] == [("snapshot", "running"), ("snapshot", "failed")]
    assert lines[-1]["exit_code"] == DataError.exit_code
    assert "gone.csv" in lines[-1]["error"]


def test_a_request_that_is_none_is_refused(pod, monkeypatch, capsys):
    monkeypatch.setenv(process.REQUEST, "{}")
    assert pod("snapshot", cause=1)[0] == 2
    assert "loopwright render --argo" in capsys.readouterr().err


def test_a_run_that_nobody_asked_for_is_begun_once_and_ended_in_the_ledger(pod, small):
    for _ in range(2):
        pod("snapshot", cause=0)
    Ledger(pod.settings.ledger_url).append(small.name, "registered", {"run": "small-1", "version": 1})
    for _ in range(2):
        pod("--ended=Succeeded", cause=0)
    entries = Ledger(pod.settings.ledger_url).entries(small.name)
    kinds = [entry.kind for entry in entries]
    assert [kinds.count(kind) for kind in ("request", "run", "run_ended")] == [1, 1, 1]
    assert entries[-1].facts["state"] == "succeeded"
    assert entries[-1].facts["version"] == 1
    assert entries[-1].cause == next(entry.number for entry in entries if entry.kind == "run")


def test_a_run_without_its_version_is_rejected_and_one_that_argo_failed_has_failed(pod, small):
    for name, phase in (("small-1", "Succeeded"), ("small-2", "Failed")):
        pod("snapshot", cause=0, run=name)
        pod(f"--ended={phase}", cause=0, run=name)
    ends = Ledger(pod.settings.ledger_url).entries(small.name, kind="run_ended")
    assert [end.facts["state"] for end in ends] == ["rejected", "failed"]


def test_what_no_step_left_is_named(tmp_path):
    with pytest.raises(DataError, match=r"holdout\.parquet of this run is not at"):
        RunPlace(f"file://{tmp_path}", "small-1", tmp_path / "scratch").inputs("holdout.parquet")
