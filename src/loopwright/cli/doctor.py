"""doctor: what keeps a loop from running here, or on a cluster, and what to do."""

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loopwright.cli.context import json_option, loop_argument

if TYPE_CHECKING:
    from loopwright.cluster.api import Cluster
    from loopwright.doctor import Finding
    from loopwright.loop import Loop
    from loopwright.settings import Settings

Checks = list[tuple[str, Callable[[], "Iterable[Finding]"]]]

IN_POD = "KUBERNETES_SERVICE_HOST"
"""The variable that every pod has."""
COLOURS = {"ok": "green", "note": "dim", "warning": "yellow", "problem": "red"}


@click.command(epilog="Example: loopwright doctor churn --cluster --namespace models")
@loop_argument
@click.option("--machine", "places", flag_value="machine", help="This machine alone.")
@click.option("--cluster", "places", flag_value="cluster", help="The cluster alone, which then has to be there.")
@click.option("--namespace", default="", help="The namespace; by default LOOPWRIGHT_NAMESPACE, or your kubeconfig's.")
@click.option("--trigger", default="", metavar="URL", help="A trigger that runs, to be asked how it is.")
@click.option("--port", default=8080, show_default=True, help="The gateway's port of `loopwright up`.")
@click.option("--strict", is_flag=True, help="Exit code 1 for warnings, too.")
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    loop: str | None,
    places: str | None,
    namespace: str,
    trigger: str,
    port: int,
    strict: bool,
    as_json: bool,
) -> None:
    """Look at this machine, a loop and a cluster, and say of each finding what to do. Nothing is changed.

    A loop is looked at where one is named or the current folder is one; a cluster where there is a kubeconfig, or in a
    pod. Exit codes: 0 without problems, 1 with one (or, with --strict, a warning).
    """
    import json

    from rich.console import Console

    from loopwright.doctor.findings import PROBLEM, WARNING, worst

    console = Console(highlight=False, quiet=as_json, soft_wrap=True)
    found = []
    for finding in _findings(loop, places, namespace, port, trigger):
        found.append(finding)
        console.print(f"[{COLOURS[finding.state]}]{finding.state:<8}[/] [bold]{finding.check}[/]: ", end="")
        console.print(finding.text, markup=False)
        if finding.do:
            console.print(f"         -> {finding.do}", markup=False, style="dim" if finding.state == "note" else "")
    state = worst(found)
    if as_json:
        click.echo(json.dumps({"state": state, "findings": [one.facts() for one in found]}, indent=2))
    counts = {state: sum(one.state == state for one in found) for state in (PROBLEM, WARNING)}
    console.print(", ".join(f"{number} {name}{'' if number == 1 else 's'}" for name, number in counts.items()))
    ctx.exit(int(state == PROBLEM or (strict and state == WARNING)))


def _findings(folder: str | None, places: str | None, namespace: str, port: int, trigger: str) -> "Iterator[Finding]":
    from loopwright import declaration, settings
    from loopwright.doctor.findings import collect, of_error
    from loopwright.errors import LoopwrightError

    loop: Loop | None = None
    where = Path(folder) if folder else Path.cwd()
    if folder or (where / declaration.FILE).is_file():
        try:
            where = declaration.find(folder)
            loop = declaration.load(where)
        except LoopwrightError as error:
            yield of_error("loop", error)
    try:
        known = settings.read(where)
    except LoopwrightError as error:
        yield of_error("settings", error)
        return
    in_pod = IN_POD in os.environ
    if places != "cluster":
        yield from collect([] if in_pod else _machine(known, port))
        yield from collect([] if loop is None else _stores(known, loop, in_pod))
    if trigger:
        yield from _trigger(trigger, known)
    if known.engine == "kfp" and places != "machine":
        yield from collect([("kubeflow pipelines", lambda: _kubeflow(known))])
    if places != "machine":
        yield from _cluster(known, loop, namespace, wanted=places == "cluster", in_pod=in_pod)


def _trigger(url: str, settings: "Settings") -> "Iterator[Finding]":
    import httpx

    from loopwright.doctor import service

    with httpx.Client(timeout=10, trust_env=False) as client:
        yield from service.trigger(url, settings.token, client)


def _kubeflow(settings: "Settings") -> "Iterator[Finding]":
    from loopwright.cli import engines
    from loopwright.doctor import engine

    yield from engine.kfp(engines.kubeflow(settings))


def _machine(settings: "Settings", port: int) -> Checks:
    from loopwright.doctor import machine

    return [
        ("python", machine.python),
        ("envoy", machine.envoy),
        ("ports", lambda: machine.port(port)),
        ("disk", lambda: machine.disk(settings)),
    ]


def _stores(settings: "Settings", loop: "Loop", in_pod: bool) -> Checks:
    from loopwright.doctor import stores

    return [
        ("state", lambda: stores.state(settings)),
        ("ledger", lambda: stores.ledger(settings, loop)),
        ("registry", lambda: stores.registry(settings, loop)),
        ("token", lambda: stores.token(settings, cluster=in_pod)),
    ]


def _cluster(
    settings: "Settings", loop: "Loop | None", namespace: str, *, wanted: bool, in_pod: bool
) -> "Iterator[Finding]":
    """The cluster's findings: nothing else is asked of an API server that does not answer."""
    import httpx

    from loopwright.doctor import cluster as itself
    from loopwright.doctor import initializer, objects, parts, permissions
    from loopwright.doctor.findings import NOTE, PROBLEM, collect, of_error, worst
    from loopwright.errors import LoopwrightError
    from loopwright.rollout import kserve

    try:
        cluster = kserve.connect(namespace or settings.namespace)
    except LoopwrightError as error:
        yield of_error("cluster", error, PROBLEM if wanted or (in_pod and settings.workflows) else NOTE)
        return
    except ModuleNotFoundError:
        # `machine.python` has said how to install it.
        return
    reached = list(collect([("kubernetes", lambda: itself.server(cluster, _now))]))
    yield from reached
    if worst(one for one in reached if one.check == "kubernetes") == PROBLEM:
        return
    own: Checks = [("service account", lambda: permissions.own(cluster, "hand over rollouts", permissions.TRIGGER))]
    person: Checks = [
        ("may install", lambda: permissions.own(cluster, "install the chart", permissions.INSTALL)),
        ("may deploy", lambda: permissions.own(cluster, "deploy", permissions.DEPLOY)),
        ("service accounts", lambda: permissions.accounts(cluster)),
    ]
    asked = (own if settings.workflows else []) if in_pod else person
    checks: Checks = [
        ("nodes", lambda: itself.nodes(cluster, _now)),
        ("storage class", lambda: itself.storage(cluster)),
        ("namespace", lambda: itself.namespace(cluster)),
        ("kserve", lambda: parts.kserve(cluster, loop)),
        (initializer.CHECK, lambda: initializer.initializer(cluster, loop)),
        ("gateway", lambda: parts.gateway(cluster, loop)),
        ("argo workflows", lambda: parts.argo(cluster)),
        ("prometheus operator", lambda: parts.operator(cluster)),
        *asked,
        *_engine(settings, cluster),
        ("secret", lambda: objects.secret(cluster, loop)),
        ("pods", lambda: objects.pods(cluster, loop)),
    ]
    yield from collect(checks)
    with httpx.Client(timeout=10, trust_env=False) as client:
        yield from collect([("prometheus", lambda: objects.prometheus(settings, client, loop))])


def _engine(settings: "Settings", cluster: "Cluster") -> Checks:
    """What the engine of LOOPWRIGHT_ENGINE needs of the cluster."""
    from loopwright.cli import engines
    from loopwright.doctor import engine
    from loopwright.errors import LoopwrightError

    if settings.engine == "argo":
        return [("engine argo", lambda: engine.argo(cluster, settings.training_template))]
    if settings.engine == "kfp":
        try:
            kfp = engines.kubeflow(settings)
        except LoopwrightError:
            # `kubeflow pipelines` has said which option cannot be used.
            return []
        steps: Checks = [("steps", lambda: engine.kfp_pods(cluster, kfp))]
        name = kfp.options.secret
        return [(f"secret {name}", lambda: engine.kfp_secret(cluster, kfp)), *steps] if name else steps
    return []


def _now() -> datetime:
    return datetime.now(UTC)
