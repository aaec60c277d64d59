"""The files of a source, in folders and buckets.

A source names a file, a folder of files or a glob, on disk or by URL; object stores are read by obstore, with the
credentials that `buckets` speaks of. What is in the files is read by `formats`.
"""

import glob
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from loopwright import buckets
from loopwright.data.objects import Object, away, fits
from loopwright.errors import DataError

CSV_ENDINGS = (".csv", ".csv.gz")
PARQUET_ENDINGS = (".parquet", ".pq")
_EXPECTED = "a .csv or .parquet file, a folder of them, or a glob"


@dataclass(frozen=True)
class DataFile:
    """A file of a source: what messages call it, and how it is opened."""

    name: str
    open: Callable[[], Any]
    size: int | None = None
    """Bytes, where the listing says."""
    stamp: str = ""
    """What changes with the content, where the listing says: a bucket's e-tag, or when the file was written."""

    @property
    def kind(self) -> str | None:
        """csv or parquet by the name's ending, None for any other."""
        return _kind(self.name)


def found(source: str, root: Path) -> list[DataFile]:
    """The data files that a source names, sorted by name. Raises DataError when there is none."""
    files = _remote(source) if "://" in source and not source.startswith("file://") else _local(source, root)
    if not files:
        path = source if "://" in source else _path(source, root)
        folder = isinstance(path, Path) and path.is_dir()
        raise DataError(
            f"{path} is a folder without data files" if folder else f"there is no data at {path}",
            expected=_EXPECTED,
            do="correct `data.source` in loop.yaml, or put the data there",
        )
    return sorted(files, key=lambda file: file.name)


def takes(source: str, root: Path, name: str) -> bool:
    """Whether a data file of this name, a path or a URL, would be one of the source's if it were there."""
    source, name = _absolute(source, root), _absolute(name, root)
    if glob.has_magic(source):
        if "://" not in source and source.endswith("/**"):
            source += "/*"  # On disk it is whatever is below.
        return bool(fits(source)(name)) and not _hidden(name.removeprefix(_above(source)))
    folder = f"{source.rstrip('/')}/"
    return name == source or (name.startswith(folder) and not _hidden(name.removeprefix(folder)))


def _absolute(source: str, root: Path) -> str:
    return source if "://" in source and not source.startswith("file://") else str(_path(source, root).resolve())


def _path(source: str, root: Path) -> Path:
    return root / source.removeprefix("file://")


def _local(source: str, root: Path) -> list[DataFile]:
    path = _path(source, root)
    if path.is_dir():
        paths = [file for file in path.rglob("*") if file.is_file() and _kind(file.name) is not None]
        paths = [file for file in paths if not _hidden(str(file.relative_to(path)))]
    elif glob.has_magic(source):
        above = str(root / _above(source.removeprefix("file://")))
        paths = [Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file()]
        paths = [file for file in paths if not _hidden(str(file.relative_to(above)))]
    else:
        paths = [path] if path.is_file() and not _hidden(path.name) else []
    return [_on_disk(one) for one in paths]


def _on_disk(path: Path) -> DataFile:
    found = path.stat()
    return DataFile(str(path), partial(path.open, "rb"), found.st_size, str(found.st_mtime_ns))


def _remote(source: str) -> list[DataFile]:
    """The objects that a URL names: itself, all data files below it, or those that a glob fits."""
    from obstore.exceptions import BaseError

    scheme, rest = source.split("://", 1)
    bucket, _, key = rest.partition("/")
    fixed = _above(key) if glob.has_magic(key) else key.strip("/")
    try:
        store = buckets.connect(f"{scheme}://{bucket}")
        if scheme in ("http", "https"):
            known: dict[str, Any] = {key: {}}
        elif _kind(key) is not None and not glob.has_magic(key):
            found = store.head(key)
            known = {str(found["path"]): found}
        else:
            listed = {one["path"]: one for page in store.list(prefix=fixed or None) for one in page}
            fitting = fits(key) if glob.has_magic(key) else lambda name: _kind(name) is not None
            known = {
                name: one for name, one in listed.items() if fitting(name) and not _hidden(name.removeprefix(fixed))
            }
    except FileNotFoundError as error:
        raise DataError(
            f"there is no data at {source}", expected=_EXPECTED, do="correct `data.source`, or put the data there"
        ) from error
    except (BaseError, OSError, ValueError) as error:
        raise away(source, error) from error
    return [
        DataFile(f"{scheme}://{bucket}/{name}", partial(Object, store, name), one.get("size"), one.get("e_tag") or "")
        for name, one in known.items()
        if not _hidden(PurePosixPath(name).name)
    ]


def _above(pattern: str) -> str:
    """The folder that a glob begins with."""
    return re.split(r"[*?\[]", pattern)[0].rpartition("/")[0]


def _hidden(below: str) -> bool:
    """Whether a file is none of the data by its path below the source: a temporary one, or a notebook's checkpoint."""
    return any(part.startswith((".", "_")) for part in PurePosixPath(below).parts if part not in ("..", "/"))


def _kind(name: str) -> str | None:
    name = name.lower()
    if name.endswith(CSV_ENDINGS):
        return "csv"
    return "parquet" if name.endswith(PARQUET_ENDINGS) else None
