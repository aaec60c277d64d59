"""up: everything that a loop needs, in one terminal."""

import sys

import click

from loopwright.cli.context import Context, on_loop
from loopwright.cli.versioned import unchanged
from loopwright.rollout.state import Placement, Status


@click.command(epilog="Example: loopwright up churn --port 8080")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="The gateway; 0: any free."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the gateway listens.")
@click.option("--mlflow/--no-mlflow", default=True, show_default=True, help="MLflow's web interface too.")
@on_loop
def up(context: Context, port: int, host: str, mlflow: bool) -> None:
    """Run gateway, predictors, drift monitor, trigger and MLflow's UI until Ctrl-C, which ends them all.

    Exit codes: 7 when the loop is up already, 9 when a port is in use.
    """
    from loopwright import settings
    from loopwright.local.options import Options
    from loopwright.local.supervisor import Supervisor

    settings.prepare(context.settings)
    started: list[int] = []

    def ready(status: Status) -> None:
        facts = {"endpoints": dict(status.endpoints)}
        started.append(context.ledger.append(context.loop.name, "started", facts).number)
        _ready(context, status)

    options = Options(
        host=host,
        gateway_port=port,
        with_mlflow=mlflow,
        initial=champion(context),
        on_event=lambda text: _say(context, text),
        on_ready=ready,
    )
    try:
        Supervisor(context.loop, context.folder, context.settings, options).run()
    finally:
        if started:
            context.ledger.append(context.loop.name, "stopped", {}, cause=started[0])


def champion(context: Context) -> Placement | None:
    """The registry's champion as what is served first; None where there is none yet."""
    version = context.registry.champion(context.loop.name)
    if version is None:
        return None
    unchanged(context, version)
    return Placement(version.number, str(context.registry.fetch(context.loop.name, version)), version.digest)


def _say(context: Context, text: str) -> None:
    if not context.json:
        # The text holds log lines and messages of others: none of it is markup.
        context.console.print(text, style="dim", markup=False)


def _ready(context: Context, status: Status) -> None:
    name = context.loop.name
    context.answer({"pid": status.pid, "endpoints": dict(status.endpoints), "weights": dict(status.weights)})
    console = context.console
    serving = ", ".join(f"version {version}" for version in status.weights) or "nothing yet: `loopwright run` first"
    console.print(f"[bold green]{name} is up[/]: {serving}")
    console.print(f"  predict   {status.endpoints['gateway']}/v1/models/{name}:predict")
    console.print(
        f"  infer     {status.endpoints['gateway']}/v2/models/{name}/infer  (gRPC: {status.endpoints['grpc']})"
    )
    for what in ("monitor", "trigger", "mlflow"):
        if what in status.endpoints:
            console.print(f"  {what:<9} {status.endpoints[what]}")
    console.print("Ctrl-C ends it all")
    sys.stdout.flush()
