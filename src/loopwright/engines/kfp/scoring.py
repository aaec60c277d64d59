"""Batch scoring on Kubeflow Pipelines: the compiled pipeline `scoring`, whose shares are a ParallelFor.

It is a pipeline and an experiment of its own, `<loop>-scoring`, so that nobody takes its runs for the training's.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from loopwright.engines.kfp import schedule
from loopwright.engines.kfp.engine import KfpEngine
from loopwright.loop import Loop

PIPELINE = "scoring"


def submit(engine: KfpEngine, loop: Loop, arguments: Sequence[str], pods: int, at: datetime) -> tuple[str, str]:
    """Start a job by an engine that was opened with the compiled `scoring`; the run's name, and where to look at it.

    `arguments` are those of `loopwright score`. Raises RunError where KFP refuses or does not answer.
    """
    name = f"{loop.name}-{PIPELINE}"
    run = f"{loop.name}-score-{at.astimezone(UTC):%Y%m%d-%H%M%S}"
    experiment = engine.experiment(name)
    pipeline_id, version_id = engine.upload(name)
    made = engine.api.ask(
        lambda client: client.run_pipeline(
            experiment_id=experiment,
            job_name=run,
            params=_parameters(loop, arguments, pods),
            pipeline_id=pipeline_id,
            version_id=version_id,
            service_account=engine.options.service_account or None,
        )
    )
    return run, engine.api.link(str(made.run_id))


def put(engine: KfpEngine, loop: Loop, arguments: Sequence[str], pods: int, cron: str) -> str:
    """Have KFP start a job by a schedule of five fields, in the place of an older one; the recurring run's name.

    `{date}` in the arguments is the day of each run. Raises RunError as `submit`, and for a time zone that is not UTC.
    """
    name = f"{loop.name}-{PIPELINE}"
    schedule.recur(engine, name, _parameters(loop, arguments, pods), cron, loop.retrain.timezone)
    return schedule.name_of(name)


def _parameters(loop: Loop, arguments: Sequence[str], pods: int) -> dict[str, Any]:
    return {"loop": loop.to_json(), "arguments": list(arguments), "pods": pods}
