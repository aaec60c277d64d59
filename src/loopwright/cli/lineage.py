"""lineage: which data, code, environment and cause made a version, and what was made from a snapshot."""

from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.context import Context
from loopwright.cli.versioned import on_version, resolve
from loopwright.errors import RegistryError

if TYPE_CHECKING:
    from loopwright.governance.lineage import Lineage

Rows = list[tuple[str, str]]


@click.command(epilog="Example: loopwright lineage churn@champion")
@click.option(
    "--snapshot", metavar="ID", help="Instead, what was made from this snapshot; the id's beginning is enough."
)
@click.option("--patch", is_flag=True, help="Print what differed from the recorded revision, as `git apply` reads it.")
@click.option("--lock", is_flag=True, help="Print the packages of the training, as `uv pip install -r` reads them.")
@on_version
def lineage(context: Context, version: str, snapshot: str | None, patch: bool, lock: bool) -> None:
    """Say which data, code, environment and cause made a version; by default the champion, else the newest.

    Exit code 3 when there is no such snapshot, 8 when there is no such version or what is asked for is not recorded.
    """
    from loopwright.governance import lineage as lines

    if snapshot is not None:
        entries, versions = context.ledger.entries(context.loop.name), context.registry.versions(context.loop.name)
        return _show_snapshot(context, lines.made_from(context.loop.name, entries, versions, snapshot))
    default = "champion" if context.registry.champion(context.loop.name) is not None else "newest"
    found = lines.of(context.loop.name, context.registry, context.ledger, resolve(context, version, default))
    if patch or lock:
        click.echo(_patch(found) if patch else _lock(found), nl=False)
        return None
    state = lines.stored(context.settings, found.snapshot)
    context.answer({**found.to_dict(), "snapshot_state": state})
    _show(context, found, state)
    return None


def _patch(found: "Lineage") -> str:
    facts = {} if found.code is None else found.code.facts
    if "patch" in facts and facts["patch"] is None:
        digest = facts.get("patch_sha256")
        raise RegistryError(
            f"the patch of version {found.version.number} was not kept: it was too long, no text, or not wanted",
            expected=f"a patch of the SHA-256 {digest}" if digest else "a patch that git wrote",
        )
    return str(facts.get("patch", ""))


def _lock(found: "Lineage") -> str:
    from loopwright import environment

    if found.origin is None:
        raise _unrecorded(found)
    return environment.lock(found.origin["environment"])


def _unrecorded(found: "Lineage") -> RegistryError:
    return RegistryError(
        found.problem or f"version {found.version.number} has no record of its environment",
        expected="a version whose bundle has origin.json",
        do="train a new version: every one that is registered now has it",
    )


def _show(context: Context, found: "Lineage", state: str) -> None:
    from rich.markup import escape

    version = found.version
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    context.console.print(f"[bold]{found.loop} version {version.number}[/]{aliases}")
    for name, text in [*_data(found, state), *_code(found), *_environment(found)]:
        context.console.print(f"  [dim]{name:<12}[/] {escape(text)}")
    for title, lines in (("because", found.to_dict()["causes"]), ("later", found.to_dict()["later"])):
        for at, line in enumerate(lines):
            context.console.print(
                f"  [dim]{title if at == 0 else '':<12} {line['number']:>4}[/] {escape(line['text'])}"
            )
    if found.problem:
        context.console.print(f"[red]{escape(found.problem)}[/]")


def _data(found: "Lineage", state: str) -> Rows:
    taken, kept, parts = found.facts("snapshot"), found.facts("validated"), found.facts("split")
    rows: Rows = [("snapshot", f"{found.snapshot or 'not recorded'} ({state})")]
    if taken:
        newest = f", the newest of {taken['newest'][:16].replace('T', ' ')}" if taken.get("newest") else ""
        rows.append(("data", f"{taken['rows']:,} rows of {taken['source']}{newest}"))
        rows += [("", f"revision of the source: {taken['revision']}")] if taken.get("revision") else []
        rows += [("", f"the snapshot before it: {taken['parent']}")] if taken.get("parent") else []
    if kept and parts:
        rows.append(
            ("rows", f"{kept['kept']:,} kept the contract; {parts['training']:,} train, {parts['holdout']:,} judge")
        )
    rows.append(("model", f"digest {found.version.digest}"))
    return rows


def _code(found: "Lineage") -> Rows:
    if found.code is None:
        return [("code", "of no repository; the declaration and the feature code are in the bundle")]
    facts: Any = found.code.facts
    where = f" of {facts['remote']}" if facts.get("remote") else ""
    rows: Rows = [("code", f"{facts['revision']}{where}, {facts['folder']}")]
    if facts["dirty"] is None:
        rows.append(("", "whether anything was changed is not known"))
    if facts.get("changed"):
        rows.append(("", f"changed: {', '.join(facts['changed'])}{' (see --patch)' if facts.get('patch') else ''}"))
    if facts.get("withheld"):
        rows.append(("", f"not in the patch, by their names: {', '.join(facts['withheld'])}"))
    if facts.get("untracked"):
        rows.append(("", f"not in the repository: {', '.join(facts['untracked'])}"))
    return rows


def _environment(found: "Lineage") -> Rows:
    if found.origin is None:
        return [("environment", "not recorded")]
    made: Any = found.origin["environment"]
    what = f"Python {made['python']} on {made['system']} {made['machine']}, loopwright {made['loopwright']}"
    lock = f"{len(made['packages'])} packages, lock {made['lock_sha256'][:12]} (see --lock)"
    seed = f"{found.origin['seed']}, {found.origin['threads']} thread{'s' * (found.origin['threads'] != 1)}"
    return [("environment", what), ("", lock), ("seed", seed)]


def _show_snapshot(context: Context, found: dict[str, Any]) -> None:
    from rich.markup import escape

    context.answer(found)
    source = escape(str(found["source"]))
    context.console.print(f"[bold]snapshot {found['snapshot']}[/]: {found['rows']:,} rows of {source}")
    for run in found["runs"]:
        aliases = f" ({', '.join(run['aliases'])})" if run["aliases"] else ""
        came = f"version {run['version']}{aliases}" if run["version"] is not None else "no version"
        promoted = ", which was promoted" if run["promoted"] else ""
        context.console.print(
            f"  {run['at'][:16].replace('T', ' ')}  run {run['run']}: {run['state']}, {came}{promoted}"
        )
