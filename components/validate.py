"""Hold the snapshot against the contract."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def validate(
    loop: str,
    run: str,
    cause: int,
    rows: Input[Dataset],
    valid: Output[Dataset],
    set_aside: Output[Dataset],
    report: Output[Artifact],
) -> int:
    """Hold the rows against the contract; what breaks a rule is set aside with its reason."""
    from pathlib import Path

    from loopwright.steps import recording
    from loopwright.steps.validate import validate as run_step

    with recording.step("validate", loop, run, cause) as step:
        paths = Path(rows.path), Path(valid.path), Path(set_aside.path), Path(report.path)
        step.facts = run_step(step.loop, *paths, step.settings.clock.now(), step.before("validated"))
    return step.number
