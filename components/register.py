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
    from loopwright.steps.register import of_run

    with recording.step("register", loop, run, cause) as step:
        paths = Path(model.path), Path(evaluation.path), Path(training.path)
        version = of_run(step, cause, Registry(step.settings), *paths, rows.metadata["snapshot"])
    if version:
        logged(step.loop, step.settings, version)
    return version
