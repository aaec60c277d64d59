"""Who follows a search is told of each trial, and of the best one so far."""

import json

import pytest

from loopwright.cli.run import _Live
from loopwright.engines import local
from loopwright.engines.protocol import RunStatus
from loopwright.steps import recording
from loopwright.steps.trials import Progress


@pytest.mark.parametrize(("metric", "best"), [("roc_auc", "0.9000"), ("log_loss", "0.7000")])
def test_the_best_is_by_the_metrics_own_direction_and_of_complete_trials(metric, best):
    told = []
    progress = Progress(4, metric, lambda *one: told.append(one))
    for number, (value, state) in enumerate([(0.7, "complete"), (0.9, "complete"), (0.99, "pruned"), (None, "failed")]):
        progress(number + 1, value, state)
    assert told[0] == (1, 4, f"trial 1 of 4: {metric} 0.7000, best 0.7000")
    assert [note for _, _, note in told[2:]] == [
        f"trial 3 of 4: pruned, best {best}",
        f"trial 4 of 4: failed, best {best}",
    ]


def test_whoever_follows_a_local_run_sees_every_trial(small, tmp_path, monkeypatch):
    file = tmp_path / "progress.jsonl"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(recording.PROGRESS, str(file))
    monkeypatch.delenv(recording.FAILURES, raising=False)
    with recording.step("train", small.to_json(), "small-1", 0) as step:
        step.going(1, 2, "trial 1 of 2: roc_auc 0.7000, best 0.7000")
        step.going(2, 2, "trial 2 of 2: roc_auc 0.8000, best 0.8000")
        steps, error, _ = local._progress(file)
        (train,) = [one for one in steps if one.name == "train"]
        assert (train.state, train.done, train.of, len(train.notes), error) == ("running", 2, 2, 2, None)
    assert [json.loads(line)["state"] for line in file.read_text().splitlines()][-1] == "succeeded"
    printed = []

    class Context:
        json = False

        class console:  # noqa: N801 - stands for an object
            is_terminal = False
            print = staticmethod(printed.append)

    with _Live(Context) as live:
        live.show(RunStatus("small-1", "small", "running", steps))
        live.show(RunStatus("small-1", "small", "running", steps))
        live.show(RunStatus("small-1", "small", "running", local._progress(file)[0]))
    assert printed[:3] == ["train running", *(f"  {note}" for note in train.notes)]
    assert len(printed) == 4
    assert printed[3].startswith("train succeeded in")
