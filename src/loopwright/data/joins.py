"""Feature tables joined to the rows as of each row's time, so that no feature looks past it.

    rows (entity, time) + table (entity, time of each value) -> the newest value at or before the row's time

A table is held in memory, only the columns that are asked for; rows go by batch by batch.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.data import snapshots, sources, tables
from loopwright.data.typed import strings
from loopwright.errors import DataError
from loopwright.loop import Loop
from loopwright.loop.data import Join

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_KEY, _AT, _ROW = "\0key", "\0at", "\0row"


def batches(loop: Loop, root: Path) -> Iterator["pa.Table"]:
    """The rows of the loop's source with the columns of its joins, batch by batch. Raises DataError."""
    found = sources.batches(loop.data.source, root)
    if not loop.data.joins:
        yield from found
        return
    held = [(join, _table(join, loop, root)) for join in loop.data.joins]
    for batch in found:
        yield joined(batch, loop, held)


def read(loop: Loop, root: Path) -> "pd.DataFrame":
    """All of these rows as one frame."""
    return sources.together(list(batches(loop, root)))


def joined(batch: "pa.Table", loop: Loop, held: list[tuple[Join, "pd.DataFrame"]]) -> "pa.Table":
    """A batch with the columns of each table; a row without a value that was known by its time has none."""
    import pandas as pd
    import pyarrow as pa

    timestamp, entity = loop.data.timestamp, loop.data.entity
    assert timestamp is not None, "the declaration asks for it with a join"
    assert entity is not None, "the declaration asks for it with a join"
    for name in (entity, timestamp):
        if name not in batch.column_names:
            raise DataError(f"the data has no column {name!r}", expected="the columns that joins go by")
    keys = batch.select([entity, timestamp]).to_pandas(integer_object_nulls=True)
    rows = pd.DataFrame({_KEY: strings(keys[entity]), _AT: snapshots.times(keys, timestamp), _ROW: range(len(batch))})
    rows[_AT] = rows[_AT].dt.as_unit("us")
    dated = rows.dropna(subset=[_KEY, _AT]).sort_values(_AT, kind="stable")
    for join, table in held:
        if taken := sorted(set(join.columns) & set(batch.column_names)):
            raise DataError(
                f"the rows have a column {taken[0]!r} already", do="leave it out of `data.joins`, or rename it"
            )
        # The table's times are when values are there to be read; their age counts from the moment they are of.
        oldest = None if join.max_age is None else pd.Timedelta(join.max_age - join.delay)
        values = pd.merge_asof(dated, table, on=_AT, by=_KEY, tolerance=oldest, direction="backward")
        values = values.set_index(_ROW).reindex(range(len(batch)))
        found = tables.plain(pa.Table.from_pandas(values[list(join.columns)], preserve_index=False))
        for name in join.columns:
            batch = batch.append_column(name, found[name])
    return batch


def _table(join: Join, loop: Loop, root: Path) -> "pd.DataFrame":
    """The table's values in the order of their times, with the key as text."""
    import pandas as pd

    entity = join.by or str(loop.data.entity)
    frame = sources.read(join.source, root, list(dict.fromkeys([entity, join.at, *join.columns])))
    moments = snapshots.times(frame, join.at)
    if unreadable := int(moments.isna().sum()):
        raise DataError(
            f"{unreadable:,} of {len(frame):,} rows of {join.source} have no readable time in {join.at}",
            expected="when each value was known",
            do="correct the table, or `data.joins`",
        )
    columns: dict[str, Any] = {name: frame[name] for name in join.columns}
    made = pd.DataFrame({_KEY: strings(frame[entity]), _AT: moments.dt.as_unit("us"), **columns})
    if join.delay:
        # A value is there to be read only so long after the moment that it is about.
        made[_AT] += join.delay
    return made.dropna(subset=[_KEY]).sort_values(_AT, kind="stable").reset_index(drop=True)
