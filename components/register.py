"""Register the judged model."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register(
    loop: str,
    run: str,
    cause: int,
    rows: Input[Dataset],
    training: Input[Dataset],
    model: Input[Model],
    evaluation: Input[Artifact],
) -> int:
    """Store the model in MLflow, and register a version if it passed; returns the version, or 0 for none."""
    from pathlib import Path

    from loopwright.governance.pages import logged
    from loopwright.registry import Registry
    from loopwright.steps import recording
    from loopwright.steps.register import register as run_step
    from loopwright.steps.register import registered

    with recording.step("register", loop, run, cause) as step:
        tags = {"run": step.run, "entry": str(cause), "snapshot": rows.metadata["snapshot"]}
        paths = Path(model.path), Path(evaluation.path), Path(training.path)
        registry = Registry(step.settings)
        # Only a run with a name of its own can be told from the runs before it.
        known = registered(step.loop, registry, tags) if step.named else None
        facts = known or run_step(step.loop, registry, *paths, tags, step.told("trained"))
        if facts["version"] is not None and not (known and step.recorded("registered", step.run)):
            step.facts = facts
    if facts["version"] is not None:
        logged(step.loop, step.settings, facts["version"])
    return facts["version"] or 0
