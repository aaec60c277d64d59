"""What changed from one snapshot to another: columns, rows, and how each column is distributed.

Rows are told apart by their hashes, so a row that changed in one value is one that went and one that came.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from loopwright.data import tables
from loopwright.data.spool import hashes
from loopwright.errors import DataError

BINS = 10
BATCH_ROWS = 50_000


def evolution(before: dict[str, str], after: dict[str, str]) -> dict[str, Any]:
    """Columns that were added, removed and retyped, from what each column holds by name (`tables.kinds`)."""
    both = [name for name in before if name in after]
    return {
        "added": [name for name in after if name not in before],
        "removed": [name for name in before if name not in after],
        "retyped": {name: [before[name], after[name]] for name in both if before[name] != after[name]},
    }


def difference(before: Path, after: Path) -> dict[str, Any]:
    """Schema, rows and distributions of two snapshots, as JSON.

    Rows are compared where the columns are the same, and need 100 bytes of memory each. Each common column has its
    Jensen-Shannon distance, corrected for the number of rows, and the missing shares; a number has its medians too.
    Raises DataError when a file cannot be read.
    """
    one, two = _opened(before), _opened(after)
    kinds = [tables.kinds(tables.plain(file.schema_arrow.empty_table()).schema) for file in (one, two)]
    changed = evolution(*kinds)
    counts = {"before": one.metadata.num_rows, "after": two.metadata.num_rows}
    if not any(changed.values()):
        first, second = _rows(one), _rows(two)
        common = (first & second).total()
        counts |= {"common": common, "came": second.total() - common, "went": first.total() - common}
    columns = [_column(name, one, two) for name in kinds[0] if name in kinds[1] and kinds[0][name] == kinds[1][name]]
    return {"schema": changed, "rows": counts, "columns": sorted(columns, key=lambda column: -column["distance"])}


def _opened(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}", do="name another snapshot") from error


def _rows(file: Any) -> "Counter[bytes]":
    import pyarrow as pa

    found: Counter[bytes] = Counter()
    for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
        found.update(hashes(tables.plain(pa.Table.from_batches([batch]))).to_pylist())
    return found


def _column(name: str, one: Any, two: Any) -> dict[str, Any]:
    """How a column that both have differs."""
    import pandas as pd

    from loopwright.data.typed import blank
    from loopwright.statistics import bins
    from loopwright.statistics.distances import jensen_shannon

    sides = [file.read([name])[name].to_pandas() for file in (one, two)]
    missing = [float(blank(side).mean()) for side in sides]
    numbers = [pd.to_numeric(side, errors="coerce").astype("float64") for side in sides if side.dtype.kind not in "mM"]
    # A CSV file's columns are all text; one that reads as numbers is compared as such.
    numeric = bool(numbers) and all(
        bool((number.isna() == blank(side)).all()) for number, side in zip(numbers, sides, strict=True)
    )
    told: dict[str, Any] = {"column": name, "missing": missing}
    reference: bins.Bins
    if numeric:
        told["median"] = [None if number.isna().all() else float(number.median()) for number in numbers]
        reference, values = bins.of_numbers(numbers[0], BINS), numbers[1]
    else:
        texts = [side.astype("string").astype(object).where(~blank(side), None) for side in sides]
        reference, values = bins.of_categories(texts[0], BINS), texts[1]
    return {**told, "distance": float(jensen_shannon(reference.counts, reference.count(values)))}
