"""Take an immutable copy of the source's rows."""

from kfp import dsl
from kfp.dsl import Dataset, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def snapshot(loop: str, root: str, run: str, cause: int, rows: Output[Dataset]) -> int:
    """Copy the source's rows into an immutable snapshot, named by the SHA-256 of its content."""
    from pathlib import Path

    from loopwright.steps import recording
    from loopwright.steps.snapshot import snapshot as run_step

    with recording.step("snapshot", loop, run, cause) as step:
        step.facts = run_step(
            step.loop,
            Path(root),
            step.settings.snapshots,
            Path(rows.path),
            step.settings.clock.now(),
            step.of_run("rows"),
            step.before(),
        )
        rows.metadata.update({"snapshot": step.facts["id"], "rows": step.facts["rows"]})
    return step.number
