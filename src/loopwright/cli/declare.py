"""init, check and schema: the declaration, before anything runs."""

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loopwright.cli.context import Context, json_option, on_loop
from loopwright.errors import ContractError, DataError, DeclarationError

if TYPE_CHECKING:
    from loopwright.data.contract import Checked


@click.command(epilog="Example: loopwright init churn --data churn.csv --label Churn")
@click.argument("folder", metavar="LOOP")
@click.option("--data", "source", required=True, help="A CSV or Parquet file, a folder of them, a glob, or a URL.")
@click.option("--label", required=True, help="The column to predict.")
@json_option
def init(folder: str, source: str, label: str, as_json: bool) -> None:
    """Write a commented loop.yaml in the folder LOOP, inferred from the data: types, ranges, sets, entity, task."""
    from loopwright import declaration
    from loopwright.data import infer, sources, written
    from loopwright.files import write_text

    path, file = Path(folder), Path(folder) / declaration.FILE
    if file.exists():
        raise DeclarationError(f"{file} exists already", expected="a new loop", do="edit it, or delete it")
    frame = sources.read(source, Path.cwd())
    inferred = infer.infer(frame, label)
    relative = source if "://" in source else os.path.relpath(Path(source).resolve(), path.resolve())
    text = written.declaration(_dns_label(path.resolve().name), relative, label, inferred)
    declared = declaration.parse(text, str(file))
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_text(file, text)
    except OSError as error:
        raise DeclarationError(f"{file} cannot be written: {error.strerror}", do="check the folder") from error
    if as_json:
        click.echo(json.dumps({"file": str(file), "loop": json.loads(declared.to_json())}, indent=2))
        return
    click.echo(f"wrote {file}: {inferred.task} of {label}, {len(declared.inputs)} inputs, {inferred.rows:,} rows")
    shown = shlex.quote(folder)
    click.echo(f"next: read it, then `loopwright check {shown}` and `loopwright run {shown}`")


def _dns_label(name: str) -> str:
    """The folder's name as a loop's name."""
    kept = "".join(character if character.isalnum() and character.isascii() else "-" for character in name.lower())
    return kept.strip("-")[:40].strip("-") or "loop"


@click.command(epilog="Example: loopwright check churn")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the findings and the rows set aside as a page.",
)
@on_loop
def check(context: Context, html: Path | None) -> int:
    """Hold the declaration, the feature code and the data against each other. Exit code 3 when a run would fail."""
    from rich.markup import escape

    from loopwright.cli import features
    from loopwright.data import contract, joins, snapshots, splits
    from loopwright.steps import leakage

    loop = context.loop
    code = features.read(context)
    frame = joins.read(loop, context.folder)
    now = context.settings.clock.now()
    checked = contract.check(snapshots.current(frame, loop, now), loop, now)
    if html is not None:
        _page(context, checked, html)
    problem: DataError | None = None
    found: list[leakage.Leak] = []
    try:
        checked.require(loop)
        training, holdout = splits.split(checked.valid, loop)
        features.attempt(context, code, checked.valid)
        found = leakage.leaks(loop, training, holdout, splits.classes(checked.valid, loop))
        if found and loop.data.leakage.policy == "fail":
            raise DataError("the data leaks: " + "; ".join(map(str, found)))
    except DataError as error:
        problem = error
    context.answer(
        {
            **checked.report(),
            "leaks": leakage.facts(found),
            "passed": problem is None,
            **({"error": str(problem)} if problem is not None else {}),
        }
    )
    console = context.console
    console.print(f"[bold]{loop.name}[/]: {context.folder / 'loop.yaml'} is valid, {len(loop.inputs)} inputs")
    console.print(f"data: {checked.rows:,} rows from {loop.data.source}")
    # Names and values are the data's own: none of them is markup.
    for note in checked.notes:
        console.print(f"  [cyan]note[/]   {escape(note)}")
    for violation in checked.violations:
        mark = {"fail": "[red]stops[/]", "warn": "[cyan]warns[/]"}.get(violation.policy, "[yellow]aside[/]")
        samples = f", such as {', '.join(map(repr, violation.samples))}" if violation.samples else ""
        console.print(f"  {mark}  {escape(str(violation) + samples)}")
    for leak in found:
        console.print(f"  [yellow]leaks[/]  {escape(str(leak))}")
    if problem is None:
        console.print(
            f"[green]ready[/]: {len(checked.valid):,} rows can be used ({len(checked.set_aside):,} set aside), "
            f"{len(training):,} train and {len(holdout):,} judge"
        )
        return 0
    if not context.json:
        raise problem
    return ContractError.exit_code


def _page(context: Context, checked: "Checked", html: Path) -> None:
    import tempfile

    from loopwright.files import write_text
    from loopwright.report import data_page

    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder) / "aside.parquet"
        checked.set_aside.astype("string").to_parquet(aside, index=False)
        write_text(html, data_page.render(context.loop.name, checked.report(), aside))
    context.console.print(f"wrote {html}", markup=False)


@click.command(epilog="Example: loopwright schema > loop.schema.json")
def schema() -> None:
    """Print the JSON schema of loop.yaml, for editors."""
    from loopwright import declaration

    click.echo(json.dumps(declaration.schema(), indent=2))
