"""attributions: do live predictions rest on the features that they rested on in training?"""

import time
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.context import Context, on_loop
from loopwright.cli.events import _bounds, _declared, _window
from loopwright.errors import LimitError

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.models.bundle import Bundle
    from loopwright.performance.attributions import Compared
    from loopwright.pushgateway import Gauge

JOB = "loopwright_attributions"


@click.command(epilog="Example: loopwright attributions churn --since 7d")
@click.option("--top", type=click.IntRange(min=1), help="Only the features that changed most.")
@_window
@on_loop
def attributions(context: Context, top: int | None, **window: Any) -> int:
    """Hold the mean size of each feature's contribution to archived predictions against the one of training.

    Of one version: the one that is named, or else the one with most events in the window. Exit code 12 when a feature
    has drifted: by `monitor.attributions.min_change` and more than the budget of false alarms takes for chance.
    """
    from loopwright.cli.push import left
    from loopwright.models.attributions import Attributions
    from loopwright.models.model import Model
    from loopwright.performance import attributions as compared

    version, frame = busiest(context, window)
    bundle = fetched(context, version)
    model, declared = Model(bundle), context.loop.monitor.attributions
    found = compared.compare(
        model,
        Attributions.read(bundle),
        compared.matrix(model, frame),
        budget=declared.false_alarms,
        span=max(frame["received_at"].max() - frame["received_at"].min(), timedelta(0)),
        min_change=declared.min_change,
    )
    left(context, JOB, gauges(found, version))
    drifted = [one.feature for one in found.features if one.drifted]
    refusal = LimitError(
        f"predictions of version {version} rest on other features than in training: {', '.join(drifted)}",
        expected=f"changes below {declared.min_change:g} of all, or that chance explains",
        do="see `loopwright drift` for what has drifted in the data",
    )
    error = {"error": str(refusal), "exit_code": refusal.exit_code} if drifted else {}
    context.answer({"version": version, **asdict(found), **error})
    _show(context, found, version, top)
    if drifted and not context.json:
        raise refusal
    return refusal.exit_code if drifted else 0


def busiest(context: Context, window: dict[str, Any]) -> "tuple[str, pd.DataFrame]":
    """The version that is asked for, or the one with most archived events in the window, and its events."""
    from loopwright.archive.reader import count
    from loopwright.archive.store import opened, resolve
    from loopwright.performance.served import served

    url, (start, end) = resolve(_declared(context).url, context.settings.state), _bounds(context, window)
    name, version = context.loop.name, window["version"]
    if version is None:
        counted = count(opened(url), loop=name, start=start, end=end)
        version = max(counted, key=lambda one: counted[one], default=None)
    frame = served(url, name, version, start, end)
    return str(version), frame.sort_values("received_at", kind="stable")


def fetched(context: Context, version: str) -> "Bundle":
    """The bundle of a registered version, verified."""
    from loopwright.errors import RegistryError
    from loopwright.models import bundle

    if not version.isdigit():
        raise RegistryError(f"{version} is no version of the registry", expected="a number", do="name one by --version")
    found = context.registry.get(context.loop.name, int(version))
    return bundle.read(context.registry.fetch(context.loop.name, found), found.digest)


def gauges(found: "Compared", version: str) -> "list[Gauge]":
    """What is pushed of a comparison."""
    from loopwright.pushgateway import Gauge

    each = [({"version": version, "feature": one.feature}, one) for one in found.features]
    return [
        Gauge(
            "loopwright_attribution_mean",
            "The mean size of a feature's contribution to the raw score.",
            [(labels, one.now) for labels, one in each],
        ),
        Gauge(
            "loopwright_attribution_reference_mean",
            "The same on held-out rows in training.",
            [(labels, one.reference) for labels, one in each],
        ),
        Gauge(
            "loopwright_attribution_drifted",
            "Whether a feature's attribution has drifted, 0 or 1.",
            [(labels, float(one.drifted)) for labels, one in each],
        ),
        Gauge(
            "loopwright_attribution_ndcg",
            "How well the reference's ranking of features holds, 1 for as it was.",
            [({"version": version}, found.ndcg)],
        ),
        Gauge(
            "loopwright_attributions_ended_timestamp_seconds",
            "When attributions were last compared.",
            [({}, time.time())],
        ),
    ]


def _show(context: Context, found: "Compared", version: str, top: int | None) -> None:
    from rich.markup import escape
    from rich.table import Table

    say = context.console.print
    say(
        f"version {version}: {found.rows:,} predictions beside {found.reference_rows:,} held-out rows; the ranking "
        f"holds to {found.ndcg:.3f} (NDCG)"
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("feature", "now", "reference", "change", "p"):
        table.add_column(column, justify="left" if column == "feature" else "right")
    for one in found.features[:top]:
        cells = (f"{one.now:.4g}", f"{one.reference:.4g}", f"{one.change:+.1%}", f"{one.p_value:.2g}")
        table.add_row(escape(one.feature), *cells, style="red" if one.drifted else "")
    say(table)
