"""Store the judged model: as an MLflow run always, and as a registered version if it passed its gates."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.files import read_json
from loopwright.loop import Loop
from loopwright.registry import TAG, Registry, Submission
from loopwright.scale.parts import head, parts

if TYPE_CHECKING:
    from loopwright.steps.recording import Step


def of_run(
    step: "Step", cause: int, registry: Registry, model: Path, evaluation: Path, training: Path, snapshot: str
) -> int:
    """Register the model of the step's run once, on whatever engine; returns the version, or 0 where none passed.

    `step.facts` are those of the ledger's entry, with the rules of who may approve it as they are now. They stay None
    where there is no version, and where an attempt before this one left the entry. Raises as `register` does.
    """
    tags = {"run": step.run, "entry": str(cause), "snapshot": snapshot}
    # Only a run with a name of its own can be told from the runs before it.
    known = registered(step.loop, registry, tags) if step.named else None
    facts = known or register(step.loop, registry, model, evaluation, training, tags, step.told("trained"))
    if facts["version"] is not None and not (known and step.recorded("registered", step.run)):
        step.facts = {**facts, "rules": step.loop.gates.rules}
    return int(facts["version"] or 0)


def registered(loop: Loop, registry: Registry, tags: dict[str, str]) -> dict[str, Any] | None:
    """What an attempt before this one registered of the run `tags["run"]`, if there was one.

    A pod that was lost after it registered must not register the same model again. It may have been lost between that
    and the version's alias, which is then made up for.
    """
    mine = [one for one in registry.versions(loop.name) if one.tags.get(f"{TAG}run") == tags["run"]]
    if not mine:
        return None
    registry.challenge(loop.name, mine[-1].number)
    snapshot = mine[-1].tags.get(f"{TAG}snapshot", tags["snapshot"])
    return {
        "version": mine[-1].number,
        "digest": mine[-1].digest,
        "snapshot": snapshot,
        "approval": loop.gates.approval,
    }


def register(
    loop: Loop,
    registry: Registry,
    model: Path,
    evaluation: Path,
    training: Path,
    tags: dict[str, str],
    trained: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Register the bundle in the folder `model`; returns the version, or None where a gate was not passed.

    `trained` is what training said: the parameters that a search found, and the trees of early stopping.

    Raises BundleError when the bundle is not whole, and RegistryError when the registry cannot store it.
    """
    from loopwright.models import bundle as bundles
    from loopwright.models.columns import from_frame
    from loopwright.models.model import Model

    loaded = bundles.read(model)
    judged = read_json(evaluation)
    example = head(parts(training), 3)[[spec.name for spec in loaded.manifest.inputs]]
    output = Model(loaded).predict(from_frame(loaded.manifest.inputs, example))
    trained = trained or {}
    found = dict(trained.get("search", {}).get("parameters", {}))
    if "trees" in trained:
        found["trees"] = trained["trees"]
    approved = loop.gates.approval == "auto"
    version = registry.register(
        loop.name,
        Submission(
            bundle=model,
            digest=loaded.digest,
            evaluation=judged,
            parameters={"estimator": loop.model.estimator, "seed": loop.model.seed, **loop.model.parameters, **found},
            metrics=judged["metrics"],
            tags={
                **tags,
                "gates": "passed" if judged["passed"] else "failed",
                "approval": "approved" if approved else "waiting",
                "loop": loop.digest,
            },
            snapshot=tags["snapshot"],
            passed=judged["passed"],
            example=example,
            output=output,
        ),
    )
    return {"version": version, "digest": loaded.digest, "snapshot": tags["snapshot"], "approval": loop.gates.approval}
