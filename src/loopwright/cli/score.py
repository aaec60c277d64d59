"""score: a version's predictions for all rows of an input, as Parquet, going on where it was interrupted."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.context import Context
from loopwright.cli.score_cluster import dated
from loopwright.cli.versioned import ALIASES, on_version, resolve, unchanged

if TYPE_CHECKING:
    from loopwright.loop.source import Source
    from loopwright.scoring.begin import Begun
    from loopwright.scoring.manifest import Receipt

ROW = "row"
"""What --id says for numbering the rows."""


@dataclass(frozen=True)
class _Asked:
    """The options."""

    input: str
    output: str
    query: str
    id: str | None
    explain: int
    workers: int
    share: tuple[int, int] | None
    only: str | None
    engine: str
    pods: int
    schedule: str


def _share(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    number, _, of = value.partition("/")
    if not (number.isdecimal() and of.isdecimal() and int(number) < int(of)):
        raise click.BadParameter(f"{value!r} is no share; expected such as 0/8, the first of eight")
    return int(number), int(of)


@click.command(epilog="Example: loopwright score churn --input s3://lake/customers --output s3://lake/churn/today")
@click.option("--input", required=True, help="CSV or Parquet: a file, a folder, a glob or a URL.")
@click.option("--query", default="", help="A query; --input then names the environment variable with the SQL URL.")
@click.option("--output", required=True, help="A folder or a bucket's URL: a new one, or one to go on with.")
@click.option("--id", help=f"The column that says whose a row is, or {ROW}; default `data.entity`, else {ROW}.")
@click.option("--explain", type=click.IntRange(0), default=0, help="So many features that add most, with each row.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine.")
@click.option("--share", callback=_share, metavar="I/N", help="Only every N-th unit of a job that was begun.")
@click.option("--only", type=click.Choice(["begin", "end"]), help="Only write the manifest, or only sum up.")
@click.option(
    "--engine", type=click.Choice(["local", "argo", "kfp"]), default="local", show_default=True, help="Where."
)
@click.option(
    "--pods", type=click.IntRange(1, 1000), default=4, show_default=True, help="On a cluster: at most so many."
)
@click.option("--schedule", default="", help='On a cluster: each time, such as "0 3 * * *".')
@on_version
def score(context: Context, version: str, **options: Any) -> int:
    """Write predictions for all rows of an input, one Parquet partition a chunk, by default of the champion.

    Run again, it goes on where it stopped, with the version that it began with. Rows that break the contract are set
    aside with the reason, and drift against the training data is counted on the way. Exit code 3 when the input cannot
    be used or more than `data.set_aside` of its rows were set aside, 14 when the output cannot be written or is
    another's.
    """
    from loopwright.cli import scored

    asked = _Asked(**options)
    _require_no_secret(asked)
    if asked.engine != "local":
        return _on_cluster(context, version, asked)
    if asked.schedule:
        raise click.BadParameter(
            "a schedule needs --engine argo or kfp; here it is cron's to call this", param_hint="--schedule"
        )
    began = _begin(context, version, asked)
    if began.manifest.state == "complete" and not began.left():
        context.console.print(f"{began.output} is complete already: nothing to do", markup=False)
        return scored.answer(context, began.manifest, None)
    receipts = dict(began.done)
    seconds = _work(context, began, asked, receipts) if asked.only is None else None
    _require_unchanged(began, asked)
    if asked.only == "begin" or asked.share is not None:
        context.answer({"job": began.manifest.job, "version": began.manifest.version, "units": began.manifest.units})
        return 0
    return scored.answer(context, scored.end(context, began, list(receipts.values())), seconds)


def _require_no_secret(asked: _Asked) -> None:
    """Raise BadParameter for a password in what is printed, recorded and given to a cluster, without repeating it."""
    from loopwright.loop.source import has_user, refused

    if asked.query:
        try:
            _source(asked)
        except ValueError:
            # The cause has the value.
            raise click.BadParameter(
                "with --query it is the name of the environment variable that has the database's URL, "
                "such as WAREHOUSE_URL",
                param_hint="--input",
            ) from None
    elif why := refused(asked.input):
        raise click.BadParameter(why.removeprefix("source: "), param_hint="--input")
    if has_user(asked.output):
        raise click.BadParameter(
            "a URL has no user and password here; credentials come from the environment", param_hint="--output"
        )


def _on_cluster(context: Context, version: str, asked: _Asked) -> int:
    from loopwright.cli import score_cluster

    score_cluster.require_reachable(asked.input, asked.output, asked.query)
    if asked.schedule and score_cluster.DATE not in asked.output:
        raise click.BadParameter("each job needs an output of its own: put {date} into it", param_hint="--output")
    arguments = ["--input", asked.input, "--output", asked.output, "--explain", str(asked.explain)]
    arguments += ["--query", asked.query] if asked.query else []
    arguments += ["--id", asked.id] if asked.id else []
    if asked.engine == "kfp":
        score_cluster.submit_to_kubeflow(context, version, arguments, asked.pods, asked.schedule)
        return 0
    score_cluster.submit(context, version, arguments, asked.pods, asked.schedule)
    return 0


def _begin(context: Context, version: str, asked: _Asked) -> "Begun":
    from loopwright.errors import OutputError
    from loopwright.models import bundle as bundles
    from loopwright.scoring import begin, manifest, plan, rows
    from loopwright.scoring.job import EXPLAINED_ROWS, PART_ROWS, Job, columns_of
    from loopwright.scoring.output import Output

    output = Output(dated(asked.output), Path.cwd())
    known = manifest.read(output)
    if known is None and (asked.share is not None or asked.only == "end"):
        raise OutputError(f"nothing was begun at {output}", do="begin it with --only begin")
    if isinstance(source := _source(asked), str):
        begin.require_apart(source, Path.cwd(), output)
    chosen = version
    if known is not None and known.loop == context.loop.name and not version.isdecimal():
        # Whatever an alias names by now, the job keeps its version.
        chosen = str(known.version) if version in ("", *ALIASES, "newest") else version
    found = unchanged(context, resolve(context, chosen, "champion"))
    bundle = bundles.read(context.registry.fetch(context.loop.name, found), found.digest)
    id = _id(context, asked)
    size = known.part_rows if known is not None else EXPLAINED_ROWS if asked.explain else PART_ROWS
    job = Job(context.loop, bundle.folder, bundle.digest, found.number, output.url, id, asked.explain, size)
    inputs = bundle.manifest.inputs
    others = rows.beside(context.loop, inputs)
    planned = plan.plan(source, Path.cwd(), columns_of(context.loop, bundle, id), job.part_rows, others)
    if aside := rows.unjudged(context.loop, inputs, planned.beside):
        context.console.print(f"not looked at, as the input does not have it: {', '.join(aside)}", markup=False)
    elif others and not isinstance(source, str):
        context.console.print(f"looked at where the query gives it: {', '.join(others)}", markup=False)
    whole = asked.share is None and asked.only != "end"
    return begin.begin(job, planned, output, known, datetime.now(UTC), anew=whole)


def _require_unchanged(began: "Begun", asked: _Asked) -> None:
    """Raise OutputError where the input was written to while it was read: what is there is of neither."""
    from loopwright.errors import OutputError
    from loopwright.scoring import plan

    if plan.changed(began.plan, _source(asked), Path.cwd()):
        raise OutputError(
            f"{began.plan.source} changed while it was scored into {began.output}",
            expected="files that stay as they are until the job is done",
            do="score a copy or a finished export, into another --output",
        )


def _id(context: Context, asked: _Asked) -> str | None:
    name = asked.id or context.loop.data.entity or ROW
    return None if name == ROW else name


def _source(asked: _Asked) -> "str | Source":
    from loopwright.loop.source import Source

    return Source(sql=asked.query, url_env=asked.input) if asked.query else dated(asked.input)


def _work(context: Context, began: "Begun", asked: _Asked, receipts: "dict[tuple[int, int], Receipt]") -> float:
    from loopwright.cli.pace import Pace
    from loopwright.scoring import workers

    units = began.left(asked.share or (0, 1))
    console, manifest = context.console, began.manifest
    rows, there = began.plan.rows, sum(one.rows for one in began.done.values())
    going_on = f"; {there:,} are done" if began.done else ""
    total = f"{rows:,} rows" if rows is not None else "the rows"
    console.print(
        f"version {manifest.version} scores {total} of {manifest.source} into {began.output}{going_on}", markup=False
    )
    with Pace(console, rows, there) as pace:

        def tell(receipt: "Receipt") -> None:
            receipts[receipt.unit, receipt.part] = receipt
            pace.add(receipt.rows)

        workers.score(began.job, units, began.done, tell, asked.workers)
        return pace.seconds
