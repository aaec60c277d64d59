"""labels: what came true, sent to the running monitor or joined with predictions in one go."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.context import Context, on_loop
from loopwright.cli.events import _bounds, _declared, _duration, _window
from loopwright.errors import DataError, ServingError

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.performance.join import Joined

A_MESSAGE = 5_000
"""Labels in one message, about 250 kB: a monitor goes on counting between two of them."""


@click.group(epilog="Example: loopwright labels join churn --labels data/outcomes.parquet --since 7d")
def labels() -> None:
    """Labels that came late: send them to a monitor, or join them with predictions and measure."""


def _from(function: Any) -> Any:
    """The options that say where labels are."""
    for option in (
        click.option("--label-column", help="The labels' column; by default the loop's label."),
        click.option("--query", default="", help="With a database: the query that gives them."),
        click.option("--labels", "source", required=True, help="A CSV or Parquet file, folder or glob, or a SQL URL."),
    ):
        function = option(function)
    return function


def _joined(function: Any) -> Any:
    """The options that say which predictions labels belong to, and by what."""
    for option in (
        click.option("--within", default="1h", show_default=True, callback=_duration, help="With entity: at most."),
        click.option("--time-column", default="predicted_at", show_default=True, help="With entity: when predicted."),
        click.option("--ids", help="With entity: a file of whose each archived prediction was; default its id."),
        click.option("--predictions", help="A file or folder of predictions; by default the archived events."),
        click.option("--id-column", default="prediction_id", show_default=True, help="The labels' prediction ids."),
        click.option("--by", type=click.Choice(["id", "entity"]), default="id", show_default=True),
    ):
        function = option(function)
    return function


@labels.command(epilog="Example: loopwright labels send churn --labels outcomes.csv --to http://127.0.0.1:9100")
@_from
@_joined
@click.option("--to", "urls", multiple=True, required=True, help="A monitor's address; once for each replica.")
@_window
@on_loop
def send(
    context: Context,
    source: str,
    query: str,
    label_column: str | None,
    by: str,
    id_column: str,
    urls: tuple[str, ...],
    **of: Any,
) -> None:
    """Send labels to a monitor, with the token of LOOPWRIGHT_TOKEN. Sent again, they count once.

    A monitor knows predictions by their ids. With `--by entity` these are looked up first, in the archived events of
    the window or in `--predictions`: each label goes to the predictions of its entity that it is nearest to.
    """
    import httpx

    from loopwright.http import bearer

    name = label_column or context.loop.data.label.column
    if by == "entity":
        found = _by_entity(context, source, query, name, ["prediction_id"], of)
        frame, id_column, name = found.rows[["prediction_id", "label"]], "prediction_id", "label"
        context.console.print(f"{len(frame):,} predictions found; {found.unknown:,} labels without one")
    else:
        frame = _read(context, source, query, [id_column, name]).dropna()
    if context.loop.model.task == "regression":
        frame = _numbers(frame, name)
    told = {"joined": 0, "unknown": 0, "repeated": 0, "contradicting": 0}
    with httpx.Client(headers=bearer(context.settings.token), timeout=60, trust_env=False) as client:
        for url in urls:
            for begin in range(0, len(frame), A_MESSAGE):
                some = frame.iloc[begin : begin + A_MESSAGE]
                pairs = zip(some[id_column].astype(str).tolist(), some[name].tolist(), strict=True)
                for what, number in _post(client, url, [{"id": one, "label": label} for one, label in pairs]).items():
                    told[what] = told.get(what, 0) + number
    context.answer({"labels": len(frame), **told})
    context.console.print(f"{len(frame):,} labels: " + ", ".join(f"{number:,} {what}" for what, number in told.items()))


@labels.command(
    epilog="Example: loopwright labels join churn --labels outcomes.parquet --by entity --predictions served/"
)
@_from
@_joined
@click.option(
    "--to", type=click.Path(dir_okay=False, path_type=Path), help="Write the joined rows to this Parquet file."
)
@_window
@on_loop
def join(
    context: Context,
    source: str,
    query: str,
    label_column: str | None,
    by: str,
    id_column: str,
    to: Path | None,
    **of: Any,
) -> None:
    """Join labels with predictions, and say how good each version was, with 95 % intervals."""
    from loopwright.performance import join as joins
    from loopwright.performance import measure

    loop, name = context.loop, label_column or context.loop.data.label.column
    if by == "entity":
        found = _by_entity(context, source, query, name, [], of)
    else:
        asked = _predictions(context, ["prediction_id", joins.PREDICTION], of)
        found = joins.by_id(asked, _read(context, source, query, [id_column, name]), id=id_column, label=name)
    thresholds = _thresholds(context, found.rows)
    measured = measure.versions(loop, found.rows, loop.monitor.performance.slices, thresholds)
    if to is not None:
        found.rows.to_parquet(to, index=False)
    told = {
        what: getattr(found, what) for what in ("labels", "unknown", "repeated", "contradicting", "unlabelled")
    }  # fmt: skip
    context.answer({"joined": len(found.rows), **told, "versions": measured})
    context.console.print(
        f"{len(found.rows):,} predictions joined; " + ", ".join(f"{number:,} {what}" for what, number in told.items())
    )
    for version, one in measured.items():
        out = f", left out: {one['left_out']}" if "left_out" in one else ""
        context.console.print(f"version {version or '(not said)'}: {one['rows']:,} rows{out}", markup=False)
        for metric, of in one["metrics"].items():
            between = f"   {of['low']:.4g} to {of['high']:.4g}" if of["low"] is not None else ""
            context.console.print(f"  {metric:<18}{of['value']:>10.4g}{between}", markup=False)


def _thresholds(context: Context, rows: "pd.DataFrame") -> dict[str, float]:
    """From which probability on each version decides positive, as it was judged; none of one that is not registered."""
    from loopwright.errors import RegistryError
    from loopwright.performance.join import VERSION
    from loopwright.registry import Registry

    loop = context.loop
    if loop.model.task == "regression" or loop.several or VERSION not in rows:
        return {}
    registry, found = Registry(context.settings), {}
    for version in sorted(rows[VERSION].astype(str).unique()):
        try:
            at = registry.evaluation(loop.name, int(version)).get("threshold")
        except (RegistryError, ValueError):
            continue
        if at is not None:
            found[version] = float(at)
    return found


def _read(context: Context, source: str, query: str, columns: list[str]) -> "pd.DataFrame":
    from loopwright.performance import sources

    return sources.read(source, context.folder, columns, query)


def _by_entity(
    context: Context, source: str, query: str, label: str, needed: list[str], of: dict[str, Any]
) -> "Joined":
    """Labels joined with predictions of their entity; these have to have the columns `needed`, too."""
    from loopwright.performance import join as joins

    entity, seen = context.loop.data.entity, context.loop.data.timestamp
    if entity is None or seen is None:
        raise DataError("a join by entity needs `data.entity` and `data.timestamp` in loop.yaml")
    at, within = of["time_column"], of["within"]
    asked = _predictions(context, [*needed, entity, at, joins.PREDICTION], of, entity)
    given = _read(context, source, query, [entity, seen, label])
    return joins.by_entity(asked, given, entity=entity, at=at, seen=seen, label=label, within=within)


def _numbers(frame: "pd.DataFrame", name: str) -> "pd.DataFrame":
    import pandas as pd

    values = pd.to_numeric(frame[name], errors="coerce")
    if values.isna().any():
        raise DataError(f"a label is {str(frame[name][values.isna()].iloc[0])[:40]!r}", expected="a number")
    return frame.assign(**{name: values})


def _predictions(context: Context, needed: list[str], of: dict[str, Any], entity: str = "") -> "pd.DataFrame":
    """The predictions of a file, or the archived events of the window, with the column of their `entity`."""
    import pandas as pd

    source: str | None = of["predictions"]
    if source is not None:
        from loopwright.data import sources

        frame = sources.read(source, context.folder)
    else:
        from loopwright.archive import read
        from loopwright.archive.store import resolve
        from loopwright.performance.served import of_entities

        url, (start, end) = resolve(_declared(context).url, context.settings.state), _bounds(context, of)
        batches = read(url, loop=context.loop.name, version=of["version"], start=start, end=end)
        frames = [batch.to_pandas() for batch in batches]
        frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*needed, "prediction_id"])
        if entity:
            known = None if of["ids"] is None else _read(context, of["ids"], "", ["prediction_id", entity])
            frame = of_entities(frame, entity, known)
    if missing := [name for name in needed if name not in frame.columns]:
        raise DataError(
            f"the predictions have no column {', '.join(missing)}",
            expected=f"columns {', '.join(needed)}",
            do="name another --time-column" if source is None else "name them so",
        )
    values = pd.to_numeric(frame["prediction"], errors="coerce")
    return frame.assign(prediction=values)


def _post(client: Any, url: str, content: list[dict[str, Any]]) -> dict[str, int]:
    import httpx

    try:
        response = client.post(f"{url.rstrip('/')}/v1/labels", json={"labels": content})
    except httpx.HTTPError as error:
        raise ServingError(
            f"the monitor at {url} does not answer: {error}", do="check --to, then send again"
        ) from error
    if not response.is_success:
        raise ServingError(
            f"the monitor at {url} answered {response.status_code}: {response.text.strip()[:300]}",
            do="labels that it took before count once when they are sent again",
        )
    return dict(response.json())
