"""schedule: the pipeline by `retrain.schedule` on Kubeflow Pipelines, for a loop that has no trigger."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from loopwright.cli import engines, features
from loopwright.cli.context import Context, on_loop
from loopwright.errors import DeclarationError


class _Until(click.DateTime):
    """A moment, or a day, whose last second is meant."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d", "%Y-%m-%dT%H:%M"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        moment = super().convert(value, param, ctx)
        return moment + timedelta(days=1, seconds=-1) if "T" not in str(value) else moment


@click.command(epilog="Example: loopwright schedule churn")
@click.option("--until", type=_Until(), help="Start none after this day or moment (UTC).")
@click.option("--remove", is_flag=True, help="Take the schedule away; what runs goes on.")
@on_loop
def schedule(context: Context, until: datetime | None, remove: bool) -> None:
    """Have Kubeflow Pipelines run the pipeline by `retrain.schedule`, as a recurring run.

    For a loop without a trigger: KFP knows no cool-down, daily cap or quiet hours. Run it again after a change of
    loop.yaml, which the recurring run carries. Exit codes: 2 the loop declares no schedule, 6 KFP refuses or does not
    answer.
    """
    from loopwright.cli.run import request
    from loopwright.engines.kfp import schedule as recurring

    engine, name = engines.kubeflow(context.settings), context.loop.name
    if remove:
        count = recurring.remove(engine, name)
        context.answer({"loop": name, "removed": count})
        context.console.print("the schedule was taken away" if count else "there was no schedule")
        return
    cron = context.loop.retrain.schedule
    if cron is None:
        raise DeclarationError(
            f"the loop {name} has no `retrain.schedule`",
            expected='when to run, such as "0 2 * * 0"',
            do="declare it, or remove an old one with --remove",
        )
    end = until.replace(tzinfo=UTC) if until else None
    if end is not None and end <= datetime.now(UTC):
        raise click.BadParameter(f"{end:%Y-%m-%d %H:%M} UTC has passed", param_hint="--until")
    wanted = request(context, features.read(context), name, 0)
    identity = recurring.put(engine, wanted, cron, context.loop.retrain.timezone, end)
    last = f", until {end:%Y-%m-%d %H:%M}" if end else ""
    context.answer({"loop": name, "schedule": cron, "until": end and end.isoformat(), "recurring_run": identity})
    context.console.print(f"Kubeflow Pipelines runs {name} at {cron} (UTC){last}", markup=False)
