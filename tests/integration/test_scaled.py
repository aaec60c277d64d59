"""`scale: dask`: the same loop with workers and without, and what a worker that is killed costs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed
from sklearn.metrics import roc_auc_score

from loopwright import settings
from loopwright.data import parting
from loopwright.engines import local_runner
from loopwright.errors import RunError
from loopwright.governance.again import Asked, _made
from loopwright.ledger import Ledger
from loopwright.loop import Loop, Scale
from loopwright.models import bundle, columns, parted
from loopwright.models.model import Model
from loopwright.registry import Registry
from loopwright.scale import connected
from loopwright.scale import workers as scaling
from loopwright.scale.outcome import Group
from loopwright.scale.parts import Part, parts
from loopwright.scale.spread import spread
from loopwright.steps.train import train

# A worker is a process that imports what a step imports: seconds each.
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
FEATURES = "def features(columns):\n    return {**columns, 'older': columns['age'] - 50}\n"
TOLERANCE = 0.03
"""Of metrics on 200 held-out rows, where two workers bag other rows than one process does."""


def scaled(loop: Loop, workers: int) -> Loop:
    declared = {**loop.model_dump(mode="json"), "scale": {"workers": workers, "memory": "1GiB"}}
    return Loop.model_validate(declared)


@pytest.fixture
def run(
    small: Loop, small_rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., dict[str, Any]]]:
    """Runs all steps as the local engine's process does, in a state folder of their own; what the ledger has of it."""
    monkeypatch.setattr(parting, "BATCH_ROWS", 150)
    small_rows.to_csv(tmp_path / "rows.csv", index=False)

    def steps(loop: Loop, name: str) -> dict[str, Any]:
        folder = tmp_path / name / "run"
        folder.mkdir(parents=True)
        monkeypatch.setenv("LOOPWRIGHT_STATE", str(tmp_path / name))
        found = settings.prepare(settings.read(tmp_path))
        request = {
            "loop": loop.to_json(), "run": name, "cause": 0, "features": FEATURES, "folder": str(tmp_path),
        }  # fmt: skip
        version = local_runner._run(request, folder)
        entries = Ledger(found.ledger_url).entries(loop.name)
        return {
            "version": version,
            "kinds": [entry.kind for entry in entries],
            "facts": {entry.kind: entry.facts for entry in entries},
            "report": json.loads((folder / "artifacts" / "report.json").read_text()),
            "bundle": bundle.read(folder / "artifacts" / "model"),
            "versions": [one.number for one in Registry(found).versions(loop.name)],
        }

    yield steps
    for folder in tmp_path.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)


def test_a_run_with_workers_is_a_run_as_without_them(small: Loop, run: Callable[..., dict[str, Any]]) -> None:
    plain, one, two = run(small, "plain"), run(scaled(small, 1), "one"), run(scaled(small, 2), "two")
    for other in (one, two):
        assert other["version"] == plain["version"] == 1
        assert other["versions"] == [1]
        assert other["kinds"] == plain["kinds"]
        assert other["report"] == plain["report"]
        for kind in ("snapshot", "validated", "split"):
            told = [{**side["facts"][kind], "run": ""} for side in (other, plain)]
            assert told[0] == told[1], kind
        gates = [
            [(gate["gate"], gate["metric"]) for gate in side["facts"]["judged"]["gates"]] for side in (other, plain)
        ]
        assert gates[0] == gates[1]
        assert other["bundle"].contents.keys() == plain["bundle"].contents.keys()
    same = {"model.txt", "profile.json", "attributions.json", "input_example.json", "features.py"}
    assert same <= plain["bundle"].contents.keys()
    for name in same:
        assert one["bundle"].contents[name] == plain["bundle"].contents[name], f"{name} of one worker is the same bytes"
    assert one["facts"]["judged"]["metrics"] == plain["facts"]["judged"]["metrics"]
    assert two["facts"]["trained"]["scale"] == {"engine": "dask", "workers": 2, "lost": 0}
    assert two["bundle"].contents["model.txt"] != plain["bundle"].contents["model.txt"]
    assert b"machines: ]" in two["bundle"].contents["model.txt"], "where it was trained is no part of a model"
    for name, value in plain["facts"]["judged"]["metrics"].items():
        assert two["facts"]["judged"]["metrics"][name] == pytest.approx(value, abs=TOLERANCE), name


@pytest.fixture
def files(small_rows: pd.DataFrame, tmp_path: Path) -> tuple[Path, Path]:
    rows = small_rows.assign(age=small_rows["age"].astype(float), spend=pd.to_numeric(small_rows["spend"]))
    rows.iloc[:600].to_parquet(tmp_path / "training.parquet", row_group_size=100)
    rows.iloc[600:].to_parquet(tmp_path / "holdout.parquet", row_group_size=100)
    return tmp_path / "training.parquet", tmp_path / "holdout.parquet"


def test_several_workers_learn_of_an_ordered_file_what_one_learns(small: Loop, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    age = np.sort(random.uniform(18, 90, 10_000))
    plan = np.where(age < 54, "basic", "premium")
    risk = 1 / (1 + np.exp(-3 * np.sin(age / 3)))
    rows = pd.DataFrame({
        "customer": [f"c{number}" for number in range(10_000)], "age": age, "plan": plan,
        "seen": pd.date_range("2026-01-01", periods=10_000, freq="min", tz="UTC"),
        "spend": random.gamma(2, 20, 10_000), "left": np.where(random.random(10_000) < risk, "Yes", "No"),
    })  # fmt: skip
    held = np.arange(10_000) % 5 == 0
    rows[~held].to_parquet(tmp_path / "training.parquet", row_group_size=1000, index=False)
    rows[held].to_parquet(tmp_path / "holdout.parquet", row_group_size=1000, index=False)
    found = []
    for workers in (1, 2):
        model = tmp_path / f"model{workers}"
        train(scaled(small, workers), "", tmp_path / "training.parquet", tmp_path / "holdout.parquet", model)
        known = Model(bundle.read(model))
        predicted = known.predict(columns.from_frame(known.inputs, rows[held][list(small.inputs)]))
        found.append(roc_auc_score(rows[held]["left"] == "Yes", predicted))
    assert found[0] > 0.8
    assert found[1] == pytest.approx(found[0], abs=0.01)


def kill_while_training(monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Kill a worker with SIGKILL in the middle of a common training, the first `times` times; the killed processes."""
    killed: list[int] = []
    run = Group.run

    def killing(self: Any, function: Any, arguments: Any) -> Any:
        if function is not parted.train or len(killed) >= times:
            return run(self, function, arguments)
        (pid,) = self._client.run(os.getpid, workers=[self.members[-1]]).values()

        def kill() -> None:
            deadline = time.monotonic() + 60
            while not all(self._client.processing()[member] for member in self.members):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            return run(self, function, arguments)
        finally:
            thread.join()

    monkeypatch.setattr(Group, "run", killing)
    return killed


def test_a_worker_killed_in_the_middle_of_training_costs_an_attempt_and_changes_nothing(
    small: Loop, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = scaled(small, 2)
    undisturbed = train(loop, "", *files, tmp_path / "undisturbed")
    killed = kill_while_training(monkeypatch, 1)
    disturbed = train(loop, "", *files, tmp_path / "disturbed")
    assert len(killed) == 1
    assert disturbed["scale"] == {"engine": "dask", "workers": 2, "lost": 1}
    assert disturbed["digest"] == undisturbed["digest"], "the model depends on the number of workers alone"


def test_workers_that_are_lost_each_time_end_the_step_in_words_and_leave_no_model(
    small: Loop, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "ATTEMPTS", 2)
    killed = kill_while_training(monkeypatch, 2)
    with pytest.raises(RunError, match="Dask workers were lost 2 times while they trained together"):
        train(scaled(small, 2), "", *files, tmp_path / "model")
    assert len(killed) == 2
    assert not (tmp_path / "model").exists()


def _waits(marker: Path | None) -> int:
    while marker is not None and not marker.exists():
        time.sleep(0.1)
    return os.getpid()


def test_a_worker_that_dies_when_its_own_part_is_done_costs_an_attempt(tmp_path: Path) -> None:
    lost: list[int] = []

    def attempt(group: Group) -> list[int]:
        def kill() -> None:
            (first,) = group._futures[:1]
            first.result()
            os.kill(first.result(), signal.SIGKILL)

        if lost:
            (tmp_path / "go").touch()
        else:
            lost.append(1)
            threading.Timer(3, kill).start()
        return group.run(_waits, [(None,), (tmp_path / "go",)])

    with spread(Scale(workers=2)) as where:
        assert isinstance(where, scaling.Workers)
        assert len(set(where.together(attempt))) == 2
        assert where.lost == 1


_HELD: list[bytearray] = []


def _fill(megabytes: int) -> int:
    """Make this process hold so much, and say how much it is."""
    import psutil

    missing = megabytes - psutil.Process().memory_info().rss // 10**6
    if missing > 0:
        _HELD.append(bytearray(b"x") * (missing * 10**6))
    time.sleep(0.5)
    return int(psutil.Process().memory_info().rss // 10**6)


def test_a_worker_near_its_memory_goes_on() -> None:
    with spread(Scale(workers=1, memory="600MB")) as where:
        assert min(where.map(_fill, [520] * 8)) > 0.8 * 600


@pytest.mark.parametrize("how", ["map", "together", "joblib"])
def test_a_scheduler_that_is_lost_is_told_in_words(tmp_path: Path, how: str) -> None:
    file, scheduler = tmp_path / "scheduler.json", [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard"]
    started = [
        subprocess.Popen([*scheduler, "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file])
    ]
    try:
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        started.append(subprocess.Popen([*worker, "--scheduler-file", file, "--local-directory", tmp_path]))
        address = json.loads(file.read_text())["address"]
        with spread(Scale(workers=1, address=address)) as where:
            assert isinstance(where, scaling.Workers)
            threading.Timer(3, started[0].kill).start()
            never = tmp_path / "never"
            asked: dict[str, Callable[[], Any]] = {
                "map": lambda: list(where.map(_waits, [never])),
                "together": lambda: where.together(lambda group: group.run(_waits, [(never,)])),
                "joblib": lambda: where.joblib(tmp_path, lambda: Parallel()([delayed(_waits)(never)])),
            }
            with pytest.raises(RunError, match="the Dask scheduler is gone"):
                asked[how]()
    finally:
        for one in started:
            one.kill()
            one.wait()


def _fails(words: str) -> None:
    raise OSError(words)


def test_what_a_part_cannot_read_is_not_told_as_a_lost_worker() -> None:
    with spread(Scale(workers=1)) as where:
        for words, told in (("No space left on device", "No space left on device"), ("", "OSError")):
            with pytest.raises(RunError, match=f"cannot read or write its rows: {told}"):
                list(where.map(_fails, [words]))


def _rows_after_a_death(part: Part) -> int:
    """Ends the worker that is asked for the third part first."""
    marker = part.path.with_suffix(".died")
    if part.group == 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return len(part.read())


def test_a_part_whose_worker_was_killed_is_done_again(files: tuple[Path, Path]) -> None:
    with spread(Scale(workers=2)) as where:
        assert list(where.map(_rows_after_a_death, parts(files[0]))) == [100] * 6
    assert files[0].with_suffix(".died").exists()


def _end(part: Part) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_part_that_ends_every_worker_is_told_in_words(files: tuple[Path, Path]) -> None:
    with spread(Scale(workers=1)) as where, pytest.raises(RunError, match="lost 3 times on the same part of the rows"):
        list(where.map(_end, parts(files[0])))


class Carried:
    """What a function carries; it knows how often it was sent."""

    sent = 0

    def __getstate__(self) -> dict[str, Any]:
        Carried.sent += 1
        return {"other": 1}

    def __call__(self, number: int) -> int:
        return number + 1


def test_what_a_function_carries_is_sent_once_and_not_with_each_part() -> None:
    with spread(Scale(workers=1)) as where:
        assert list(where.map(Carried(), range(20))) == list(range(1, 21))
    assert 1 <= Carried.sent <= 2


@pytest.mark.parametrize("estimator", ["random_forest", "sklearn.ensemble:ExtraTreesClassifier"])
def test_a_forest_of_workers_is_that_of_this_process_to_the_last_byte(
    small: Loop, files: tuple[Path, Path], tmp_path: Path, estimator: str
) -> None:
    model = {**small.model_dump(mode="json")["model"], "parameters": {"n_estimators": 30}}
    # Rows are held whole, so that what needs them all goes with it.
    model |= {"estimator": estimator, "calibration": "sigmoid", "learning_curve": True}
    loop = Loop.model_validate({**small.model_dump(mode="json"), "model": model})
    plain, other = train(loop, "", *files, tmp_path / "plain"), train(scaled(loop, 2), "", *files, tmp_path / "two")
    assert other["scale"] == {"engine": "dask", "workers": 2, "lost": 0}
    assert other["learning_curve"] == plain["learning_curve"]
    found = [bundle.read(tmp_path / name).contents for name in ("plain", "two")]
    assert found[0].keys() == found[1].keys()
    assert {name for name in found[0] if found[0][name] != found[1][name]} == {"origin.json", "model.json"}


def test_a_search_with_workers_finds_what_it_finds_without_them(
    small: Loop, files: tuple[Path, Path], tmp_path: Path
) -> None:
    search = {"trials": 2, "parallel": 2, "folds": 2, "space": {"max_depth": {"low": 2, "high": 6}}}
    model = {**small.model_dump(mode="json")["model"], "parameters": {"n_estimators": 9}, "search": search}
    loop = Loop.model_validate({**small.model_dump(mode="json"), "model": {**model, "estimator": "random_forest"}})
    plain, other = train(loop, "", *files, tmp_path / "plain"), train(scaled(loop, 1), "", *files, tmp_path / "one")
    assert other["search"] == plain["search"]


def _pid_unless(marker: Path, ends: bool = False) -> int:
    """Ends the first process that is asked, or all."""
    if ends or not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_killed_while_an_estimator_is_fitted_changes_nothing(tmp_path: Path, workers: int) -> None:
    with connected.workers(Scale(workers=workers)) as where:
        calls = [delayed(_pid_unless)(tmp_path / "died") for _ in range(20)]
        pids = where.joblib(tmp_path, lambda: Parallel()(calls))
    assert (tmp_path / "died").exists()
    assert len(pids) == 20
    assert os.getpid() not in pids, "nothing of it is done here, of one worker neither"


def _read(held: Any, other: Any) -> tuple[float, str, str, int]:
    return float(held[-1]), type(held).__name__, type(held.base).__name__, len(other)


class Unreadable:
    """It cannot be read where it arrives."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


def test_what_an_estimator_hands_out_lies_in_files_or_is_told_of(tmp_path: Path) -> None:
    rows = np.arange(1_000_000.0)
    with connected.workers(Scale(workers=1)) as where:

        def files_of() -> tuple[Any, list[str]]:
            found = Parallel()([delayed(_read)(rows, [1, 2]) for _ in range(3)])
            return found, [path.name for path in tmp_path.glob(".rows-*/*")]

        found, kept = where.joblib(tmp_path, files_of)
        assert found == [(999_999.0, "ndarray", "memmap", 2)] * 3
        assert kept == ["0.npy"]
        assert list(tmp_path.iterdir()) == []
        refused: list[tuple[Any, type[Exception], str]] = [
            (delayed(int)(Unreadable()), RunError, "a Dask worker cannot read what it is to do: ValueError: invalid"),
            (delayed(int)("no number"), ValueError, "invalid literal"),
            (delayed(_fails)("No space left on device"), RunError, "cannot read or write its rows: No space left"),
            (delayed(_pid_unless)(tmp_path / "died", True), RunError, "lost 3 times in the same part of a training"),
        ]
        for call, kind, words in refused:
            with pytest.raises(kind, match=words):
                where.joblib(tmp_path, lambda call=call: Parallel()([call]))


def test_workers_of_an_address_are_used_and_have_to_see_the_files(
    small: Loop, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0", local_directory=str(tmp_path)
    ) as cluster:
        monkeypatch.setenv(connected.ADDRESS, cluster.scheduler_address)
        told = train(scaled(small, 1), "", *files, tmp_path / "model")
        assert told["scale"]["workers"] == 1
        with spread(Scale(workers=1)) as where, pytest.raises(RunError, match="do not see the run's files"):
            where.require_seen(tmp_path / "nowhere.parquet")
    monkeypatch.setattr(connected, "PATIENCE", 1.0)
    with pytest.raises(RunError, match="are not there"):
        train(scaled(small, 1), "", *files, tmp_path / "other")


def test_a_replay_trains_beside_itself_whatever_address_there_is(
    small: Loop, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "tcp://127.0.0.1:9"
    monkeypatch.setenv(connected.ADDRESS, nowhere)
    monkeypatch.setattr(connected, "PATIENCE", 20.0)
    loop = Loop.model_validate({**small.model_dump(mode="json"), "scale": {"workers": 1, "address": nowhere}})
    asked = Asked(1, {}, "", 1, None, str(files[0]), "", "", {}, {}, "")
    (tmp_path / "again").mkdir()
    _made(loop, asked, tmp_path / "again", tmp_path / "model")
    assert b"tcp://127.0.0.1:9" in bundle.read(tmp_path / "model").contents["origin.json"]


def _full(*given: Any) -> None:
    raise OSError("No space left on device")


def test_a_full_disk_of_a_worker_is_told_with_what_it_takes(
    small: Loop, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loopwright.steps.scaled._prepare", _full)
    with pytest.raises(RunError, match=r"No space left on device; expected 0 MB free for each worker"):
        train(scaled(small, 1), "", *files, tmp_path / "model")


def test_two_loops_that_train_on_the_same_workers_wait_for_each_other(
    small: Loop, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    digests: dict[str, str] = {}

    def training(name: str) -> None:
        digests[name] = train(scaled(small, 2), "", *files, tmp_path / name)["digest"]

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0", local_directory=str(tmp_path)
    ) as cluster:
        monkeypatch.setenv(connected.ADDRESS, cluster.scheduler_address)
        threads = [threading.Thread(target=training, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=300)
    assert set(digests) == {"one", "two"}
    assert digests["one"] == digests["two"]


def test_the_measurement_of_memory_works_on_a_small_table(tmp_path: Path, root: Path) -> None:
    places = ["--work", str(tmp_path), "--json", str(tmp_path / "found.json"), "--docs", str(tmp_path / "page.md")]
    subprocess.run([sys.executable, "-m", "bench.scale.workers", "--quick", *places], cwd=root, check=True, timeout=400)
    (found,) = json.loads((tmp_path / "found.json").read_text())
    assert found["train, 2"]["worker_mb"] > 50
    assert found["train, 0"]["worker_mb"] == 0
    assert "| 2,000 | 5 |" in (tmp_path / "page.md").read_text()
