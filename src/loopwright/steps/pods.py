"""The steps with the paths that they have in a pod: each takes what an earlier one left in the run's place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from loopwright.files import read_json, write_json
from loopwright.registry import Registry
from loopwright.steps.place import RunPlace
from loopwright.steps.recording import Step

ROWS, SNAPSHOT, VALID, SET_ASIDE, REPORT = (
    "rows.parquet", "snapshot.json", "valid.parquet", "set_aside.parquet", "report.json",
)  # fmt: skip
TRAINING, HOLDOUT, MODEL, EVALUATION = "training.parquet", "holdout.parquet", "model", "evaluation.json"


@dataclass
class Pod:
    """What the steps of one pod share."""

    loop: str
    features: str
    root: Path
    run: str
    place: RunPlace
    version: int = 0
    """The registered version; 0 for none."""


def _snapshot(pod: Pod, step: Step, cause: int) -> None:
    from loopwright.steps.snapshot import snapshot

    rows, known = pod.place.outputs(ROWS, SNAPSHOT)
    store = step.settings.snapshots
    wanted = step.of_run("rows")
    step.facts = snapshot(step.loop, pod.root, store, rows, step.settings.clock.now(), wanted, step.before())
    write_json(known, {"id": step.facts["id"], "rows": step.facts["rows"]})
    pod.place.shelve(store / f"{step.facts['id']}.parquet")
    pod.place.keep(ROWS, SNAPSHOT)


def _validate(pod: Pod, step: Step, cause: int) -> None:
    from loopwright.errors import ContractError
    from loopwright.steps.validate import validate

    (rows,) = pod.place.inputs(ROWS)
    valid, aside, report = pod.place.outputs(VALID, SET_ASIDE, REPORT)
    try:
        now, last = step.settings.clock.now(), step.before("validated")
        step.facts = validate(step.loop, rows, valid, aside, report, now, last)
    except ContractError:
        # Whoever looks into it needs them.
        pod.place.keep(SET_ASIDE, REPORT)
        raise
    pod.place.keep(VALID, SET_ASIDE, REPORT)


def _split(pod: Pod, step: Step, cause: int) -> None:
    from loopwright.steps.split import split

    (valid,) = pod.place.inputs(VALID)
    step.facts = split(step.loop, valid, *pod.place.outputs(TRAINING, HOLDOUT))
    pod.place.keep(TRAINING, HOLDOUT)


def _train(pod: Pod, step: Step, cause: int) -> None:
    from loopwright.steps.train import train
    from loopwright.steps.tried import searched_in

    training, holdout = pod.place.inputs(TRAINING, HOLDOUT)
    (model,) = pod.place.outputs(MODEL)
    step.facts = train(step.loop, pod.features, training, holdout, model, searched_in(step))
    pod.place.keep(MODEL)


def _evaluate(pod: Pod, step: Step, cause: int) -> None:
    from loopwright.steps.evaluate import evaluate

    model, holdout = pod.place.inputs(MODEL, HOLDOUT)
    judged = evaluate(step.loop, Registry(step.settings), model, holdout)
    (evaluation,) = pod.place.outputs(EVALUATION)
    write_json(evaluation, judged)
    step.facts = {name: judged[name] for name in ("passed", "metrics", "gates", "champion", "rows")}
    pod.place.keep(EVALUATION)


def _register(pod: Pod, step: Step, cause: int) -> None:
    from loopwright.steps.register import of_run

    model, evaluation, training, known = pod.place.inputs(MODEL, EVALUATION, TRAINING, SNAPSHOT)
    snapshot = read_json(known)["id"]
    pod.version = of_run(step, cause, Registry(step.settings), model, evaluation, training, snapshot)


STEPS: Mapping[str, Callable[[Pod, Step, int], None]] = {
    "snapshot": _snapshot,
    "validate": _validate,
    "split": _split,
    "train": _train,
    "evaluate": _evaluate,
    "register": _register,
}
