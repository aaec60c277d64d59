"""Rows in an order of their own, with no memory for all of them: each row has a SHA-256, and they are kept by it.

Up to so many bytes are held; beyond that they go to files on disk, one for each range of hashes, which are sorted one
by one when they are read back. So the order is that of the hashes, whichever way the rows came.
"""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from loopwright.data import tables

if TYPE_CHECKING:
    import pyarrow as pa

HELD = 64 << 20
"""Bytes that are held before they go to disk."""
RANGES = 128
"""Files on disk: 10 GB of rows are 80 MB each when they are sorted. A process may have 1,024 files open, as a rule."""
STALE_SECONDS = 24 * 3600
"""A folder of another process that is older was left by one that was killed."""
HASH, MOMENT = "\0hash", "\0moment"
_PREFIX = ".spool-"


def hashes(table: "pa.Table") -> "pa.Array":
    """The SHA-256 of each row, 32 bytes, whatever the order of the columns.

    A value is hashed as its length and its text, so that none runs into the next; a missing one has no length.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    pieces: list[Any] = []
    for name in sorted(table.column_names):
        text = tables.texts(table.column(name))
        length = pc.fill_null(pc.binary_length(text).cast(pa.string()), "-")
        pieces += [length, pa.scalar(":"), pc.fill_null(text, "")]
    rows = pc.binary_join_element_wise(*pieces, "") if pieces else pa.nulls(len(table), pa.string())
    return pa.array([hashlib.sha256(row.encode()).digest() for row in rows.to_pylist()], pa.binary(32))


class Spool:
    """Rows by their hashes. Used in a `with`; what was put on disk in `folder` is gone after it."""

    def __init__(self, folder: Path, held: int = HELD) -> None:
        self.rows = 0
        self.schema: pa.Schema | None = None
        self._root, self._most = folder, held
        self._held: list[pa.Table] = []
        self._bytes = 0
        self._folder: Path | None = None
        self._writers: dict[int, tuple[Any, Any]] = {}
        self._generation = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, table: "pa.Table", moments: "pa.Array | None" = None) -> None:
        """Keep the rows of a plain table; `moments` says when each was observed."""
        import pyarrow as pa

        if not len(table):
            return
        moments = pa.nulls(len(table), pa.timestamp("us", "UTC")) if moments is None else moments
        schema = table.schema if self.schema is None else tables.unified(self.schema, table.schema)
        if self.schema is not None and not schema.equals(self.schema):
            # A file on disk has one schema; what comes now goes to others.
            self._spill()
            self._close()
            self._generation += 1
        self.schema = schema
        table = tables.fitted(table, schema)
        self._held.append(table.append_column(HASH, hashes(table)).append_column(MOMENT, moments))
        self.rows += len(table)
        self._bytes += table.nbytes
        if self._bytes > self._most:
            self._spill()

    def count(self, since: datetime) -> int:
        """How many rows were observed at `since` or later."""
        return sum(int(_since(part, since, unknown=False).num_rows) for part in self._parts([MOMENT]))

    def parts(self, since: datetime | None = None, *, unknown: bool = True) -> Iterator["pa.Table"]:
        """The rows in the order of their hashes, in the schema that holds all, with the column HASH.

        With `since` only those observed then or later, and with `unknown` those of no known moment.
        """
        for part in self._parts():
            found = part if since is None else _since(part, since, unknown=unknown)
            yield found.sort_by([(HASH, "ascending")]).drop_columns([MOMENT])

    def _parts(self, columns: list[str] | None = None) -> Iterator["pa.Table"]:
        import pyarrow as pa

        assert self.schema is not None, "asked for rows before any came"
        wanted = pa.schema([*self.schema, pa.field(HASH, pa.binary(32)), pa.field(MOMENT, pa.timestamp("us", "UTC"))])

        def fitted(table: "pa.Table") -> "pa.Table":
            return table.select(columns) if columns else tables.fitted(table, wanted)

        if self._folder is None:
            yield pa.concat_tables([fitted(table) for table in self._held])
            return
        self._spill()
        self._close()
        for one in range(RANGES):
            found = [fitted(pa.ipc.open_stream(file).read_all()) for file in sorted(self._folder.glob(f"{one:03}-*"))]
            if found:
                yield pa.concat_tables(found)

    def _spill(self) -> None:
        """Put what is held into the files of their ranges."""
        import numpy as np
        import pyarrow as pa

        if not self._held:
            return
        if self._folder is None:
            self._root.mkdir(parents=True, exist_ok=True)
            _sweep(self._root)
            self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._root))
        table = pa.concat_tables(self._held).combine_chunks()
        self._held, self._bytes = [], 0
        first = np.frombuffer(b"".join(table[HASH].to_pylist()), np.uint8).reshape(-1, 32)[:, 0]
        place = first.astype(np.int64) * RANGES // 256
        order = np.argsort(place, kind="stable")
        table, bounds = table.take(order), np.searchsorted(place[order], np.arange(RANGES + 1))
        for one in range(RANGES):
            if bounds[one] < bounds[one + 1]:
                self._writer(one, table.schema).write_table(table.slice(bounds[one], bounds[one + 1] - bounds[one]))

    def _writer(self, one: int, schema: "pa.Schema") -> Any:
        import pyarrow as pa

        if one not in self._writers:
            assert self._folder is not None
            file = pa.OSFile(str(self._folder / f"{one:03}-{self._generation:04}"), "wb")
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writers[one] = pa.ipc.new_stream(file, schema, options=options), file
        return self._writers[one][0]

    def _close(self) -> None:
        for writer, file in self._writers.values():
            with suppress(OSError):
                writer.close()
            file.close()
        self._writers = {}


def _since(table: "pa.Table", since: datetime, *, unknown: bool) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    later = pc.greater_equal(table[MOMENT], pa.scalar(since, pa.timestamp("us", "UTC")))
    return table.filter(pc.fill_null(later, unknown))


def _sweep(folder: Path) -> None:
    """Remove what a process that was killed left here."""
    for old in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
