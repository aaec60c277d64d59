"""Reading rows from where a team keeps them: CSV and Parquet, as a file, a folder of files or a glob.

CSV is read as text: what a value means is the contract's business, and guessing types per file would make one
column a number in January and a string in February. Parquet keeps the types that it carries.
"""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loopwright.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

CSV_ENDINGS = (".csv", ".csv.gz")
PARQUET_ENDINGS = (".parquet", ".pq")


def files(source: str, root: Path) -> list[Path]:
    """The data files that a source names, sorted. Raises DataError when there is none."""
    path = Path(source) if Path(source).is_absolute() else root / source
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.is_file() and _kind(file) is not None]
    elif glob.has_magic(source):
        found = [Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file()]
    else:
        found = [path] if path.is_file() else []
    # A writer's temporary file must not be taken for data.
    found = [file for file in found if not file.name.startswith((".", "_"))]
    if not found:
        what = f"{path} is a folder without data files" if path.is_dir() else f"there is no data at {path}"
        raise DataError(
            what,
            expected="a .csv or .parquet file, a folder of them, or a glob",
            do="correct `data.source` in loop.yaml, or put the data there",
        )
    return sorted(found)


def read(source: str, root: Path, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """All rows of a source, in the files' order; `columns` limits what is read.

    Raises DataError when the source is absent, empty, neither CSV nor Parquet, or its files differ in columns.
    """
    import pandas as pd

    frames: list[pd.DataFrame] = []
    for file in files(source, root):
        frame = _read_file(file, columns)
        if frames and set(frame.columns) != set(frames[0].columns):
            odd = sorted(set(frame.columns) ^ set(frames[0].columns))
            raise DataError(
                f"{file} differs from the files before it in the columns {', '.join(map(str, odd[:5]))}",
                expected="files with the same columns",
                do="move the odd file away, or complete its columns",
            )
        frames.append(frame)
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    if frame.empty:
        raise DataError(f"{source} has no rows", expected="at least one row below the header", do="check the export")
    return frame


def _kind(file: Path) -> str | None:
    name = file.name.lower()
    if name.endswith(CSV_ENDINGS):
        return "csv"
    return "parquet" if name.endswith(PARQUET_ENDINGS) else None


def _read_file(file: Path, columns: Sequence[str] | None) -> "pd.DataFrame":
    import pandas as pd
    import pyarrow as pa

    try:
        if file.stat().st_size == 0:
            raise DataError(f"{file} is empty", expected="a header and rows", do="check the export that wrote it")
        with file.open("rb") as stream:
            parquet = stream.read(4) == b"PAR1"
        if parquet:
            return pd.read_parquet(file, columns=list(columns) if columns else None)
        if _kind(file) == "parquet":
            raise _unreadable(file, "it does not begin as Parquet does")
        # Only an empty cell is missing here: `NA` may be a country and `None` a plan.
        return pd.read_csv(
            file,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            usecols=list(columns) if columns else None,
            encoding_errors="strict",
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise _unreadable(file, str(error).strip().splitlines()[0]) from error
    except ValueError as error:
        # pandas says so when `columns` names one that the file does not have.
        raise DataError(
            f"{file}: {str(error).splitlines()[0]}", expected="the columns that loop.yaml names", do="check the header"
        ) from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}", do="check its permissions") from error


def _unreadable(file: Path, why: str) -> DataError:
    return DataError(
        f"{file} is neither CSV nor Parquet: {why}",
        expected="CSV in UTF-8 with a header line, or Parquet",
        do="convert the file, or name another in `data.source`",
    )
