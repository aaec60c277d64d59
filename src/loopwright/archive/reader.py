"""Archived prediction events back as rows: for reports on a window, and for joins with labels that come later.

A window is found by when the monitor received the events, on the loop's clock: the same clock and the same moments by
which it counts and raises alarms. A predictor that got no answer sends its batch again, so an id may stand twice.
"""

import io
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from loopwright.archive.layout import RECEIVED, VERSION, Key, prefix
from loopwright.archive.store import Object, Store, StoreError, opened, unreadable
from loopwright.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

AHEAD = 8
"""Files that are fetched while one is read: a bucket answers each after some tens of milliseconds."""
MANY_DAYS = 31
"""A longer window is found by one listing of everything instead of one a day."""


def read(
    url: str,
    *,
    loop: str,
    version: str | None = None,
    start: datetime,
    end: datetime,
    columns: Sequence[str] | None = None,
) -> "Iterator[pa.RecordBatch]":
    """The events that were received from `start` to before `end`, oldest hour first.

    Columns are `prediction_id`, `received_at`, `predicted_at`, `prediction`, `model_version`, and the inputs: float64,
    or text. A batch is of one version; versions may differ in their inputs. `columns` limits and orders what is given;
    of those, an input that a version does not have is left out of its batches. Raises DataError when the store cannot
    be read or holds a damaged file, and for a moment without a time zone.
    """
    store = opened(url)
    keys = [one.key for one in objects(store, loop=loop, version=version, start=start, end=end)]
    for key, content in _fetched(store, sorted(keys, key=lambda key: (key.hour, key.name))):
        yield from _rows(store, key, content, start, end, columns)


def objects(store: Store, *, loop: str, version: str | None = None, start: datetime, end: datetime) -> Iterator[Object]:
    """The files of the hours that a window touches. Raises DataError as `read` does."""
    if start.tzinfo is None or end.tzinfo is None:
        raise DataError("a moment without a time zone", expected="one with its zone, such as 2026-11-21T08:00Z")
    try:
        folders = [prefix(loop, version)] if version else store.folders(prefix(loop))
        for folder in folders:
            for below in _days(folder, start, end):
                yield from (one for one in store.files(below) if one.key.hour < end and one.key.end > start)
    except StoreError as error:
        raise unreadable(store.url, error) from error


def count(store: Store, *, loop: str, version: str | None = None, start: datetime, end: datetime) -> dict[str, int]:
    """How many events of each version were received in a window. Raises DataError as `read` does."""
    found: Counter[str] = Counter()
    edge = []
    for one in objects(store, loop=loop, version=version, start=start, end=end):
        if start <= one.key.hour and one.key.end <= end:
            found[one.key.version] += one.key.rows
        else:
            edge.append(one.key)
    for key, content in _fetched(store, edge):
        found[key.version] += sum(batch.num_rows for batch in _rows(store, key, content, start, end, []))
    return dict(found)


def _days(folder: str, start: datetime, end: datetime) -> list[str]:
    """Where to list: the days of a window in a version's folder, or the whole folder where they are many."""
    first, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
    days = (last - first).days + 1
    if days > MANY_DAYS:
        return [folder]
    return [f"{folder}received_date={first + timedelta(days=number)}/" for number in range(days)]


def _fetched(store: Store, keys: Sequence[Key]) -> Iterator[tuple[Key, bytes]]:
    """The files in their order, a few of them on their way at a time; one that is gone is left out."""
    with ThreadPoolExecutor(AHEAD) as pool:
        coming: deque[tuple[Key, Future[bytes | None]]] = deque()
        left = iter(keys)
        try:
            while True:
                coming.extend((key, pool.submit(store.get, key)) for key in islice(left, AHEAD - len(coming)))
                if not coming:
                    return
                key, future = coming.popleft()
                if (content := future.result()) is not None:
                    yield key, content
        except StoreError as error:
            raise unreadable(store.url, error) from error
        finally:
            for _, future in coming:
                future.cancel()


def _rows(
    store: Store, key: Key, content: bytes, start: datetime, end: datetime, columns: Sequence[str] | None
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        names = file.schema_arrow.names
        known = [*names, VERSION]
        wanted = known if columns is None else [name for name in columns if name in known]
        needed = [name for name in names if name in wanted or name == RECEIVED]
        whole = start <= key.hour and key.end <= end
        for batch in file.iter_batches(columns=needed):
            if not whole:
                moments = batch.column(RECEIVED)
                batch = batch.filter(pc.and_(pc.greater_equal(moments, _scalar(start)), pc.less(moments, _scalar(end))))
            if batch.num_rows:
                given = pa.array([key.version], pa.string()).take(pa.array([0] * batch.num_rows, pa.int8()))
                yield batch.append_column(VERSION, given).select(wanted)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{store.url}/{key.path} is damaged: {str(error).splitlines()[0]}",
            expected="a Parquet file as the monitor wrote it",
            do="restore it, or delete it",
        ) from error


def _scalar(moment: datetime) -> "pa.Scalar":
    import pyarrow as pa

    return pa.scalar(moment, pa.timestamp("us", tz="UTC"))
