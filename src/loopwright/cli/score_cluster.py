"""score --engine argo or kfp: the same job over many pods of a cluster, once, or on Argo by a schedule."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from loopwright.cli.context import Context
from loopwright.errors import RolloutError, RunError

DATE = "{date}"
"""In --input and --output: the day on which the job begins, in UTC."""


def today() -> str:
    """The day, in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def dated(text: str, day: str = "") -> str:
    """The text with a day, by default this one, for its date."""
    return text.replace(DATE, day or today())


def submit(context: Context, version: str, arguments: Sequence[str], pods: int, schedule: str) -> None:
    """Have Argo Workflows do it, and say by what name. Raises RunError where it cannot."""
    from loopwright import cluster
    from loopwright.engines import argo_scoring

    scoring = argo_scoring.Scoring(context.loop, version, arguments, pods)
    template = context.settings.training_template
    try:
        connected = cluster.connect(context.settings.namespace)
        name = argo_scoring.submit(connected, scoring, template, schedule)
    except RolloutError as error:
        raise RunError(error.found, expected=error.expected, do=error.do) from error
    kind = "CronWorkflow" if schedule else "Workflow"
    context.answer({kind.lower(): name, "namespace": connected.namespace, "pods": pods, "schedule": schedule or None})
    context.console.print(f"{kind} {name} in the namespace {connected.namespace}", markup=False)
    if not schedule:
        context.console.print(f"`kubectl -n {connected.namespace} get workflow {name} -w` follows it", markup=False)


def submit_to_kubeflow(context: Context, version: str, arguments: Sequence[str], pods: int, schedule: str) -> None:
    """Have Kubeflow Pipelines do it, once or by a schedule, and say by what name. Raises RunError where it cannot."""
    from loopwright.engines import kfp, protocol
    from loopwright.ledger import Ledger

    given = [*arguments, *(["--version", version] if version else [])]
    try:
        from loopwright.engines.compiled import pipeline
        from loopwright.engines.kfp import scoring

        outcomes = kfp.LedgerOutcomes(Ledger(context.settings.ledger_url))
        engine = kfp.KfpEngine(kfp.read(), outcomes, compiled=pipeline(scoring.PIPELINE))
        if schedule:
            name = scoring.put(engine, context.loop, given, pods, schedule)
            context.answer({"recurring_run": name, "pods": pods, "schedule": schedule})
            context.console.print(f"recurring run {name} on Kubeflow Pipelines: {schedule} (UTC)", markup=False)
            return
        run, link = scoring.submit(engine, context.loop, [*map(dated, given)], pods, datetime.now(UTC))
    except ModuleNotFoundError as error:
        raise protocol.uninstalled("kfp", "kfp", error) from error
    context.answer({"run": run, "link": link, "pods": pods})
    context.console.print(f"run {run} on Kubeflow Pipelines: {link}", markup=False)


def require_reachable(input: str, output: str, query: str) -> None:
    """Raise BadParameter for what a pod would look for in its own, empty, file system."""
    named = [("--output", output)] + ([] if query else [("--input", input)])
    for option, value in named:
        if "://" not in value and not value.startswith("/"):
            raise click.BadParameter(f"{value} is relative, and a pod has nothing there; name a URL", param_hint=option)
