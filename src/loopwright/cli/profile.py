"""profile: what a monitor holds a model of another runtime against, from files of its rows and predictions."""

from pathlib import Path

import click

from loopwright.cli.context import Context, on_loop
from loopwright.errors import StateError

EXAMPLE = "loopwright profile churn --rows training.parquet --predictions held_out.parquet --to profile.json"


@click.command(epilog=f"Example: {EXAMPLE}")
@click.option("--rows", required=True, metavar="FILE", help="CSV or Parquet: rows the model was trained on.")
@click.option(
    "--predictions",
    required=True,
    metavar="FILE",
    help="CSV or Parquet: predictions of rows that it was not fitted to.",
)
@click.option(
    "--prediction",
    default="prediction",
    show_default=True,
    help="The column of P(positive), of more classes of P(decided), or the value.",
)
@click.option("--classes", default="", help="NEGATIVE,POSITIVE; needed where the predictions have no labels.")
@click.option(
    "--decision", default="decision", show_default=True, help="The column of the decided class, of more than two."
)
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write.")
@on_loop
def profile(
    context: Context, rows: str, predictions: str, prediction: str, classes: str, decision: str, to: Path
) -> None:
    """Make the profile of a model that another runtime serves, for the drift monitor (docs/monitor.md).

    The inputs are those that `data.contract` of loop.yaml declares. Where the predictions have the label's column
    beside them, the profile also says how good the model was, which live labels are held against.
    """
    from loopwright import files
    from loopwright.data import sources
    from loopwright.steps import reference

    here = Path.cwd()
    names = [name.strip() for name in classes.split(",")] if classes else []
    given, held = sources.read(rows, here), sources.read(predictions, here)
    made = reference.profile(context.loop, given, held, prediction, names, decision)
    try:
        files.write_text(to, made.to_json())
    except OSError as error:
        raise StateError(
            f"{to} cannot be written: {error.strerror or error}", do="name another file with --to"
        ) from error
    bins = {name: one.kind for name, one in made.features.items()}
    context.answer({"file": str(to), "rows": made.rows, "inputs": bins, "labelled": made.labelled is not None})
    console = context.console
    console.print(f"the profile of {made.rows:,} rows is in {to}: {len(bins)} inputs and the prediction", markup=False)
    if made.labelled is None:
        console.print(
            f"without labels: live performance has no reference. Add {context.loop.data.label.column} to {predictions}",
            markup=False,
        )
    console.print(
        f"curl --fail -X PUT --data-binary @{to} -H 'Authorization: Bearer ...' http://MONITOR/v1/profiles/VERSION",
        markup=False,
    )
