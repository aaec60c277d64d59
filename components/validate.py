"""Hold the snapshot against the contract."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Output

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
    page: Output[HTML],
) -> int:
    """Hold the rows against the contract; what breaks a rule is set aside with its reason."""
    from pathlib import Path

    from loopwright.files import read_json
    from loopwright.report import data_page
    from loopwright.steps import recording
    from loopwright.steps.validate import validate as run_step

    with recording.step("validate", loop, run, cause) as step:
        paths = Path(rows.path), Path(valid.path), Path(set_aside.path), Path(report.path)
        try:
            step.facts = run_step(step.loop, *paths, step.settings.clock.now(), step.before("validated"))
        finally:
            # What stopped the data is what one looks for on the page.
            if paths[3].exists():
                text = data_page.render(step.loop.name, read_json(paths[3]), paths[2])
                Path(page.path).write_text(text, encoding="utf-8")
    return step.number
