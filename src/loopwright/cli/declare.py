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
    from loopwright.data.outcome import Outcome
    from loopwright.steps.leakage import Leak
    from loopwright.steps.look import Looked


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
    from loopwright.cli import features
    from loopwright.steps import leakage
    from loopwright.steps.look import look, scratch
    from loopwright.steps.split import parted

    loop = context.loop
    code = features.read(context)
    problem: DataError | None = None
    found: list[leakage.Leak] = []
    parts = (0, 0)
    with scratch() as folder:
        looked = look(loop, context.folder, folder, context.settings.clock.now())
        checked = looked.outcome
        if html is not None:
            _page(context, looked, html)
        try:
            checked.require(loop)
            judged, found = parted(loop, looked.valid)
            parts = (int((~judged).sum()), int(judged.sum()))
            features.attempt(context, code, looked.some(loop, features.TRIAL_ROWS))
            leakage.require_allowed(found, loop)
        except DataError as error:
            problem = error
    return _told(context, checked, found, problem, parts)


def _told(
    context: Context, checked: "Outcome", found: "list[Leak]", problem: DataError | None, parts: tuple[int, int]
) -> int:
    """Say what was found; `parts` are the rows to train on and to judge by."""
    from rich.markup import escape

    from loopwright.steps import leakage

    loop = context.loop
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
            f"[green]ready[/]: {sum(parts):,} rows can be used ({checked.aside:,} set aside), "
            f"{parts[0]:,} train and {parts[1]:,} judge"
        )
        return 0
    if not context.json:
        raise problem
    return ContractError.exit_code


def _page(context: Context, looked: "Looked", html: Path) -> None:
    from loopwright.files import write_text
    from loopwright.report import data_page

    write_text(html, data_page.render(context.loop.name, looked.outcome.report(), looked.set_aside))
    context.console.print(f"wrote {html}", markup=False)


@click.command(epilog="Example: loopwright schema > loop.schema.json")
def schema() -> None:
    """Print the JSON schema of loop.yaml, for editors."""
    from loopwright import declaration

    click.echo(json.dumps(declaration.schema(), indent=2))
