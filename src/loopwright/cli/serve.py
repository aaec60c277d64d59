"""serve: one version, directly, without gateway and monitor."""

import os
import sys

import click

from loopwright.cli.context import Context, on_loop
from loopwright.cli.versioned import unchanged
from loopwright.errors import RegistryError, ServingError
from loopwright.registry import ModelVersion


@click.command(epilog="Example: loopwright serve churn --http-port 8080 --grpc-port 8081")
@click.option("--version", type=int, help="The version; by default the champion, or the newest where there is none.")
@click.option("--http-port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="0: any free.")
@click.option("--host", default="127.0.0.1", show_default=True)
@on_loop
def serve(context: Context, version: int | None, http_port: int, grpc_port: int, host: str) -> None:
    """Serve a version on HTTP and gRPC (KServe V1 and V2), and say where; Ctrl-C ends it.

    Exit code 9 when a port is in use.
    """
    from loopwright.local import ports

    chosen = unchanged(context, choose(context, version))
    bundle = context.registry.fetch(context.loop.name, chosen)
    spare = ports.free(2)
    http_port, grpc_port = http_port or spare[0], grpc_port or spare[1]
    if http_port == grpc_port:
        raise ServingError(
            f"port {http_port} is given to HTTP and to gRPC", expected="two ports", do="give another one"
        )
    for port, use in ((http_port, "HTTP"), (grpc_port, "gRPC")):
        ports.check(port, use, ports.address(host))
    name = context.loop.name
    click.echo(f"serving {name} version {chosen.number} ({chosen.digest[:12]})", err=True)
    click.echo(f"  V1    http://{host}:{http_port}/v1/models/{name}:predict", err=True)
    click.echo(f"  V2    http://{host}:{http_port}/v2/models/{name}/infer", err=True)
    click.echo(f"  gRPC  {host}:{grpc_port}", err=True)
    context.answer({"version": chosen.number, "http": http_port, "grpc": grpc_port})
    arguments = [
        *("-m", "loopwright.serving", "--bundle", str(bundle), "--digest", chosen.digest, "--name", name),
        *("--version", str(chosen.number), "--http-port", str(http_port), "--grpc-port", str(grpc_port)),
        *("--host", host),
    ]
    sys.stdout.flush()
    # The predictor takes this process's place, so that signals and the exit code are its own.
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - no shell is the point


def choose(context: Context, number: int | None) -> ModelVersion:
    """The version asked for, or the champion, or the newest. Raises RegistryError when nothing is registered."""
    if number is not None:
        return context.registry.get(context.loop.name, number)
    champion = context.registry.champion(context.loop.name)
    chosen = champion or context.registry.newest(context.loop.name)
    if not chosen.digest:
        raise RegistryError(
            f"version {chosen.number} of {context.loop.name} has no digest",
            expected="a version that `loopwright run` registered",
            do="register it by a run, so that what is served can be verified",
        )
    return chosen
