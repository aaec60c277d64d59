"""What every command begins with: the loop it is about, its settings, and how it answers."""

import getpass
import json
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from loopwright.ledger import Ledger
    from loopwright.loop import Loop
    from loopwright.registry import Registry
    from loopwright.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Context:
    """A loop that a command is about."""

    folder: Path
    loop: "Loop"
    settings: "Settings"
    json: bool

    @classmethod
    def of(cls, folder: str | None, json: bool = False) -> "Context":
        """Find and read the loop in `folder`, or in the current folder. Raises DeclarationError."""
        from loopwright import declaration, settings

        found = declaration.find(folder)
        return cls(found, declaration.load(found), settings.read(found), json)

    @property
    def shown(self) -> str:
        """The loop's folder as one would type it here, for the next command that a message names."""
        return shlex.quote(os.path.relpath(self.folder))

    @cached_property
    def ledger(self) -> "Ledger":
        """The loop's ledger."""
        from loopwright.ledger import Ledger

        return Ledger(self.settings.ledger_url)

    @cached_property
    def registry(self) -> "Registry":
        """The loop's registry."""
        from loopwright.registry import Registry

        return Registry(self.settings)

    @cached_property
    def console(self) -> "Console":
        """Where people read; not used with --json."""
        from rich.console import Console

        # Lines are not broken where there is no terminal: a path or a command is copied whole.
        return Console(highlight=False, quiet=self.json, soft_wrap=True)

    def answer(self, value: Any) -> None:
        """Print a machine's answer, with --json only."""
        if self.json:
            click.echo(json.dumps(value, indent=2, default=str))


def user() -> str:
    """Who runs the command, by the name of the operating system's user; its number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run as any number: KeyError until Python 3.12, OSError from 3.13.
        return f"user {os.getuid()}"


def loop_argument(function: F) -> F:
    """The loop's folder, optional."""
    return click.argument("loop", required=False, default=None, metavar="[LOOP]")(function)


def json_option(function: F) -> F:
    """Answer in JSON."""
    return click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for a program to read.")(function)


def on_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command on a loop: adds the argument and --json, and hands the command a Context."""

    @json_option
    @loop_argument
    @wraps(function)
    def command(loop: str | None, as_json: bool, **options: Any) -> Any:
        return function(Context.of(loop, as_json), **options)

    return command
