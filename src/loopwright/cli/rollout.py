"""rollout: a version goes live by the declared strategy, judged on live traffic, in the foreground."""

from typing import TYPE_CHECKING

import click

from loopwright.cli import steer
from loopwright.cli.context import Context, on_loop
from loopwright.cli.going_live import data_plane, on_plane, submitted, take_live

if TYPE_CHECKING:
    from loopwright.rollout.controller import Look


class _Rollout(click.Group):
    """A group whose default command is `start`: `loopwright rollout churn` starts."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, "-h", "--help"):
            args = ["start", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Rollout, epilog="Example: loopwright rollout churn --version 7")
def rollout() -> None:
    """Take a version live step by step on verdicts, and back by itself when it is worse.

    `loopwright rollout [LOOP] [--version N]` starts; see `loopwright rollout start --help`. Killed, it goes on where it
    was when it is called again; Ctrl-C takes the challenger back. Exit codes: 10 when it cannot start or go on, 11 when
    the version was judged worse and taken back.
    """


@rollout.command(epilog="Example: loopwright rollout churn --version 7")
@click.option("--version", type=int, help="The version; by default the newest registered one.")
@click.option("--paused", is_flag=True, help="Start without traffic, and wait for `loopwright rollout resume`.")
@click.option("--other-inputs", is_flag=True, help="Roll out although it takes other columns than the champion.")
@click.option("--workflow", is_flag=True, help="On KServe: hand it to the cluster as an Argo Workflow, and follow it.")
@data_plane
@on_loop
def start(
    context: Context, version: int | None, paused: bool, other_inputs: bool, workflow: bool, on: str | None
) -> None:
    """Start a rollout, or go on with one that was killed (the default command)."""

    def show(look: "Look") -> None:
        if look.changed:
            context.console.print(f"version {look.version} at {look.weight} %  {look.text}", markup=False)

    context = on_plane(context, on)
    number = version if version is not None else context.registry.newest(context.loop.name).number
    if workflow:
        name = submitted(context, number, lambda line: context.console.print(line, markup=False))
        context.answer({"version": number, "promoted": True, "workflow": name})
        return
    outcome = take_live(context, number, None, show, paused=paused, other_inputs=other_inputs)
    context.answer({"version": outcome.version, "promoted": outcome.promoted, "seconds": outcome.seconds})
    context.console.print(f"[bold green]version {number} is the champion[/] after {outcome.seconds:.1f} s")


for command in (steer.status, steer.pause, steer.resume, steer.promote, steer.abort):
    rollout.add_command(command)
