"""estimate: how wrong a regression should be of archived predictions whose labels have not come yet."""

import time
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.attributions import busiest, fetched
from loopwright.cli.context import Context, on_loop
from loopwright.cli.events import _window
from loopwright.errors import DataError

if TYPE_CHECKING:
    from loopwright.pushgateway import Gauge

JOB = "loopwright_estimate"


@click.command(epilog="Example: loopwright estimate demand --since 1d")
@_window
@on_loop
def estimate(context: Context, **window: Any) -> None:
    """What MAE and RMSE of archived predictions should be, by the models of error that the version was trained with.

    Of one version: the one that is named, or else the one with most events in the window. The interval is of what the
    labels of these rows will show in 95 of 100 windows, if errors keep depending on the features as they did.
    """
    from loopwright.cli.push import left
    from loopwright.models.losses import Losses
    from loopwright.models.model import Model
    from loopwright.performance.attributions import matrix

    if context.loop.model.task != "regression":
        raise DataError(
            f"{context.loop.name} is a classification",
            expected="a regression",
            do="the monitor estimates it from calibrated scores: `estimated` in GET /v1/performance",
        )
    version, frame = busiest(context, window)
    bundle = fetched(context, version)
    losses, model, z = Losses.read(bundle), Model(bundle), NormalDist().inv_cdf(0.975)
    estimated = losses.estimate(matrix(model, frame), frame["prediction"].to_numpy(dtype=float))
    found = {
        name: {"value": value, "low": max(value - z * error, 0.0), "high": value + z * error}
        for name, (value, error) in estimated.items()
    }
    left(context, JOB, gauges(version, {name: of["value"] for name, of in found.items()}))
    context.answer({"version": version, "rows": len(frame), "metrics": found})
    context.console.print(f"version {version}: {len(frame):,} predictions, without their labels")
    for name, of in found.items():
        context.console.print(f"  {name:<18}{of['value']:>10.4g}   {of['low']:.4g} to {of['high']:.4g}", markup=False)


def gauges(version: str, values: dict[str, float]) -> "list[Gauge]":
    """What is pushed of an estimate."""
    from loopwright.pushgateway import Gauge

    return [
        Gauge(
            "loopwright_estimate",
            "A metric of archived predictions as the version's models of error expect it, without labels.",
            [({"version": version, "metric": name}, value) for name, value in values.items()],
        ),
        Gauge("loopwright_estimate_ended_timestamp_seconds", "When it was last estimated.", [({}, time.time())]),
    ]
