"""A loop's schedule as a recurring run: Kubeflow Pipelines starts the pipeline itself, with no trigger.

Such a run has no `run` entry in the ledger before it starts, so that its first step writes one (recording.py); its end
is written by whoever looks next, `loopwright run` or a trigger. It knows no cool-down, daily cap or quiet hours, which
are the trigger's: a loop has one or the other.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from loopwright.engines.kfp.engine import KfpEngine
from loopwright.engines.protocol import RunRequest
from loopwright.errors import RunError
from loopwright.steps.recording import SCHEDULED


def put(engine: KfpEngine, request: RunRequest, cron: str, timezone: str, until: datetime | None = None) -> str:
    """Have KFP run the pipeline by the schedule `cron` (five fields); returns the recurring run's id.

    `until` is the moment, with its time zone, after which it starts none; None is never.

    One is there a loop; another declaration takes its place. Raises RunError for a time zone that KFP does not follow.
    """
    # Each run has the name that KFP gives it, for its parameters are the same each time.
    wanted = engine.parameters(replace(request, run="", cause=SCHEDULED))
    return recur(engine, request.name, wanted, cron, timezone, until)


def recur(
    engine: KfpEngine, of: str, parameters: Mapping[str, Any], cron: str, timezone: str, until: datetime | None = None
) -> str:
    """Have KFP run the engine's pipeline with these parameters, in the place of an older recurring run of `of`.

    `of` is what its experiment and its pipeline are called by. Raises RunError for a time zone that is not KFP's.
    """
    if timezone != "UTC":
        raise RunError(
            f"`retrain.timezone` is {timezone}, and Kubeflow Pipelines has one time zone for all of its schedules",
            expected="UTC",
            do="write the schedule in UTC, or let a trigger follow it",
        )
    name = name_of(of)
    pipeline_id, version_id = engine.upload(of)
    experiment = engine.experiment(of)
    old = _find(engine, name)
    made = engine.api.ask(
        lambda client: client.create_recurring_run(
            experiment_id=experiment,
            job_name=name,
            description=f"a schedule of {of}: {cron}",
            # KFP's has a field for seconds before the five.
            cron_expression=f"0 {cron}",
            end_time=f"{until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if until else None,
            max_concurrency=1,
            # What was missed while KFP was down is not run again and again: one run takes all rows.
            no_catchup=True,
            params=dict(parameters),
            pipeline_id=pipeline_id,
            version_id=version_id,
            service_account=engine.options.service_account or None,
        )
    )
    _delete(engine, old)
    return str(made.recurring_run_id)


def remove(engine: KfpEngine, loop: str) -> int:
    """Take a loop's recurring run away; returns how many there were. What runs goes on."""
    found = _find(engine, name_of(loop))
    _delete(engine, found)
    return len(found)


def name_of(what: str) -> str:
    """What the recurring run of a loop, or of its scoring, is called."""
    return f"{what}-schedule"


def _find(engine: KfpEngine, name: str) -> list[Any]:
    namespace = engine.options.namespace or None
    found = engine.api.pages(
        "recurring_runs",
        lambda client, token: client.list_recurring_runs(page_token=token, page_size=100, namespace=namespace),
    )
    return [one for one in found if one.display_name == name]


def _delete(engine: KfpEngine, found: list[Any]) -> None:
    for one in found:
        engine.api.ask(lambda client, of=one.recurring_run_id: client.delete_recurring_run(of))  # type: ignore[misc]
