"""Part the valid rows into training and holdout."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def split(
    loop: str, run: str, cause: int, valid: Input[Dataset], training: Output[Dataset], holdout: Output[Dataset]
) -> int:
    """Part the valid rows into those that train a model and those that judge it."""
    from pathlib import Path

    from loopwright.steps import recording
    from loopwright.steps.split import split as run_step

    with recording.step("split", loop, run, cause) as step:
        step.facts = run_step(step.loop, Path(valid.path), Path(training.path), Path(holdout.path))
    return step.number
