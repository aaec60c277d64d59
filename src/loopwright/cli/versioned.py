"""Commands on one version of a loop: `churn@7`, `churn@champion`, `churn 7`; and which code a run is of."""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.context import Context, json_option
from loopwright.errors import RegistryError, StateError

if TYPE_CHECKING:
    from loopwright.registry import ModelVersion

log = logging.getLogger("loopwright.run")

ALIASES = ("champion", "challenger", "previous")


def on_version(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command on a version: adds the arguments and --json, and hands the command a Context and the version."""

    @json_option
    @click.option("--version", "option", help="The version: its number, champion, challenger, previous or newest.")
    @click.argument("loop", required=False, default=None, metavar="[LOOP[@VERSION]]")
    @click.argument("version", required=False, default=None, metavar="[VERSION]")
    @wraps(function)
    def command(loop: str | None, version: str | None, option: str | None, as_json: bool, **options: Any) -> Any:
        folder, at = parted(loop)
        named = list(filter(None, (at, version, option)))
        if folder and not named and not Path(folder).exists() and _is_version(folder):
            # `loopwright lineage 7`, in the loop's folder.
            named, folder = [folder], None
        if len(named) > 1:
            raise click.UsageError(f"the version is there twice: {' and '.join(named)}")
        context = Context.of(folder, as_json)
        return function(context, (named or [""])[0], **options)

    return command


def parted(loop: str | None) -> tuple[str | None, str]:
    """The folder and the version of `churn@7`; a folder whose own name has an @ is a folder."""
    if loop is None or "@" not in loop or Path(loop).exists():
        return loop, ""
    folder, _, version = loop.rpartition("@")
    return folder or None, version


def resolve(context: Context, text: str, default: str = "") -> "ModelVersion":
    """The version that a number or an alias names. Raises RegistryError where there is no such version."""
    name, text = context.loop.name, text or default
    if text == "newest":
        return context.registry.newest(name)
    if text.isdecimal():
        return context.registry.get(name, int(text))
    if text not in ALIASES:
        found = f"{text!r} is no version" if text else "no version was named"
        raise RegistryError(
            found,
            expected="a number, champion, challenger, previous or newest",
            do=f"write `{context.shown}@7`, or see `loopwright status {context.shown}`",
        )
    for version in context.registry.versions(name):
        if text in version.aliases:
            return version
    do = f"see `loopwright status {context.shown}`"
    if text == "champion":
        do = (
            f"name another version, such as {context.shown}@newest, or make one the champion by `loopwright promote` "
            f"or `loopwright rollout`; `loopwright status {context.shown}` lists them"
        )
    raise RegistryError(f"{name} has no {text}", expected="a version with this alias", do=do)


def unchanged(context: Context, version: "ModelVersion") -> "ModelVersion":
    """The version, as the ledger has it. Raises BundleError where the registry has another digest for it."""
    from loopwright.governance import approvals

    approvals.unchanged(context.ledger.entries(context.loop.name, kind="registered"), version)
    return version


def registered(context: Context, version: int) -> int | None:
    """The number of the ledger's entry of a version's registration; None where it has none."""
    from loopwright.governance import approvals

    entry = approvals.registration(context.ledger.entries(context.loop.name, kind="registered"), version)
    return None if entry is None else entry.number


def record_code(context: Context, run: int) -> None:
    """Write which code a run is of, as an entry whose cause is the run's; nothing where there is no repository.

    The run is under way: a ledger that is away for a moment costs it this entry, and does not end it.
    """
    from loopwright import revision
    from loopwright.ledger import DuplicateEntry

    settings = context.settings
    found = revision.read(context.folder, patches=settings.patches, given=settings.revision)
    if found is not None:
        try:
            with suppress(DuplicateEntry):
                context.ledger.append(
                    context.loop.name, revision.CODE, found, cause=run, key=f"{context.loop.name}/code/{run}"
                )
        except StateError as error:
            log.warning("the code of the run of entry %d is not recorded: %s", run, error)


def _is_version(text: str) -> bool:
    return text.isdecimal() or text in (*ALIASES, "newest")
