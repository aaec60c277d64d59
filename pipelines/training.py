"""The training pipeline: from the source to a registered version, one ledger entry a step."""

from components import evaluate, register, snapshot, split, train, validate
from kfp import dsl


@dsl.pipeline(name="training", description="Snapshot, validate, split, train, evaluate and register one version.")
def training(loop: str, features: str = "", root: str = ".", run: str = "run", cause: int = 0) -> int:
    """Train, judge and register one version of a loop's model.

    Args:
        loop: The declaration, as `Loop.to_json` writes it.
        features: The feature code's source; empty for none.
        root: What a relative `data.source` is relative to.
        run: The run's name, which its ledger entries carry.
        cause: The number of the ledger entry that led to the run; 0 for none.

    Returns:
        The registered version's number, or 0 when a gate was not passed.
    """
    taken = snapshot(loop=loop, root=root, run=run, cause=cause)
    checked = validate(loop=loop, run=run, cause=taken.outputs["Output"], rows=taken.outputs["rows"])
    parted = split(loop=loop, run=run, cause=checked.outputs["Output"], valid=checked.outputs["valid"])
    trained = train(
        loop=loop,
        features=features,
        run=run,
        cause=parted.outputs["Output"],
        training=parted.outputs["training"],
        holdout=parted.outputs["holdout"],
    )
    judged = evaluate(
        loop=loop,
        run=run,
        cause=trained.outputs["Output"],
        model=trained.outputs["model"],
        holdout=parted.outputs["holdout"],
    )
    registered = register(
        loop=loop,
        run=run,
        cause=judged.outputs["Output"],
        rows=taken.outputs["rows"],
        training=parted.outputs["training"],
        model=trained.outputs["model"],
        evaluation=judged.outputs["evaluation"],
    )
    # None from KFP's cache, also where this file is uploaded by hand: the source may have other rows by now, champion
    # and gates are those of the day, and a step that was skipped leaves no entry in the ledger.
    for task in (taken, checked, parted, trained, judged, registered):
        task.set_caching_options(False)
    return registered.output
