"""Immutable Parquet files, each named by the SHA-256 of its content.

The order of rows and of columns, and how a source was cut into files, do not change the name: the same data has one
file, whose rows stand in the order of their hashes. A file is written once and never changed; `verify` reads it again
and compares.
"""

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loopwright.data import tables
from loopwright.data.spool import HASH, Spool, hashes
from loopwright.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ROW_GROUP = 100_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that is in the store."""

    id: str
    path: Path
    rows: int
    schema: dict[str, str]
    """What each column holds, in a word (`tables.kinds`)."""
    file: str
    """The SHA-256 of the file's bytes; the id is that of what the file says."""


def write(frame: "pd.DataFrame", store: Path) -> tuple[str, Path]:
    """Write a frame as a snapshot into the folder `store` unless it is there; return its id and file.

    The file appears whole or not at all. Raises DataError when it cannot be written.
    """
    try:
        with Spool(store) as kept:
            kept.add(_table(frame))
            made = put(kept.parts(), kept.schema, store)
    except OSError as error:
        raise unwritable(store, error) from error
    return made.id, made.path


def identify(frame: "pd.DataFrame") -> str:
    """The id that the frame's snapshot has."""
    table = _table(frame)
    digest = _begun(table.schema)
    for row in sorted(hashes(table).to_pylist()):
        digest.update(row)
    return digest.hexdigest()


def _table(frame: "pd.DataFrame") -> "pa.Table":
    import pyarrow as pa

    return tables.plain(pa.Table.from_pandas(frame.rename(columns=str), preserve_index=False))


def _begun(schema: "pa.Schema") -> "hashlib._Hash":
    """The id's beginning: the columns and what they hold, in the order of their names. The rows' hashes follow."""
    return hashlib.sha256(json.dumps(tables.kinds(schema)).encode())


def put(parts: "Iterable[pa.Table]", schema: "pa.Schema", store: Path) -> Snapshot:
    """Write rows that come in the order of their hashes; the file has its name when it is whole.

    A file of that name which was changed since is replaced: its SHA-256 must not be recorded as the snapshot's.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    store.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([schema.field(name) for name in sorted(schema.names)])
    digest, rows = _begun(schema), 0
    part = store / f".{os.getpid()}-{secrets.token_hex(4)}.part"
    try:
        with pq.ParquetWriter(part, schema, write_page_checksum=True) as writer:
            for table in parts:
                digest.update(b"".join(table[HASH].to_pylist()))
                rows += len(table)
                if len(table):
                    writer.write_table(table.select(schema.names), row_group_size=ROW_GROUP)
        path = store / f"{digest.hexdigest()}.parquet"
        if not path.exists() or _damaged(path, part):
            part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink()
    return Snapshot(digest.hexdigest(), path, rows, tables.kinds(schema), file_digest(path))


def _damaged(path: Path, part: Path) -> bool:
    """Whether the file that is there is not what its name says, as `part`, which was just written, is."""
    if file_digest(path) == file_digest(part):
        return False
    try:
        # Another version of Arrow may have written the same rows in other bytes.
        verify(path)
    except DataError as error:
        log.warning("%s; it is written again from the source", error.found)
        return True
    return False


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def unwritable(store: Path, error: OSError) -> DataError:
    return DataError(
        f"the snapshot in {store} cannot be written: {error.strerror or error}",
        expected="free space in a folder that this user may write",
        do="free space, or name another state folder with LOOPWRIGHT_STATE",
    )


def verify(path: Path, files: Collection[str] = ()) -> None:
    """Raise DataError when a snapshot's content is not what its name says, or no file of it had these bytes.

    `files` are the SHA-256 that were recorded of files of this snapshot, of which this must be one; none: not known.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if files and file_digest(path) not in files:
        raise _changed(path, "its bytes are not those that the ledger has")
    try:
        opened = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
        digest = _begun(tables.plain(opened.schema_arrow.empty_table()).schema)
        for batch in opened.iter_batches(ROW_GROUP, use_threads=False):
            for row in hashes(tables.plain(pa.Table.from_batches([batch]))).to_pylist():
                digest.update(row)
    except (pa.ArrowException, OSError) as error:
        raise _changed(path, f"it cannot be read: {str(error).splitlines()[0]}") from error
    if digest.hexdigest() != path.name.removesuffix(".parquet"):
        raise _changed(path, f"its content has the id {digest.hexdigest()[:12]}")


def _changed(path: Path, how: str) -> DataError:
    return DataError(
        f"the snapshot {path} was changed: {how}",
        expected=f"the content of {path.stem[:12]}",
        do="restore it from a backup, or run the pipeline again on a new snapshot",
    )
