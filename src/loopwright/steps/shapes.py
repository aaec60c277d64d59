"""How a column of the accepted data was distributed, so that the next data can be held against it (`shift`).

    valid rows, a column at a time -> counts in the bins of the last accepted data -> Jensen-Shannon distance

The distance is corrected for the number of rows on both sides, as the drift monitor's is (docs/drift.md).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopwright.data import contract
from loopwright.loop import Loop

BINS = 10


def shapes(loop: Loop, valid: Path) -> dict[str, Any]:
    """The bins and counts of each column that declares a `shift`, of the valid rows in a Parquet file."""
    from loopwright.statistics import bins

    found: dict[str, Any] = {}
    for name, column in loop.data.contract.items():
        if column.shift is not None:
            values = _values(valid, name)
            if len(values):
                made = bins.of_numbers(values, BINS) if column.numeric else bins.of_categories(values, BINS)
                found[name] = made.to_dict()
    return found


def shifted(loop: Loop, valid: Path, last: Mapping[str, Any]) -> list[contract.Violation]:
    """The columns that are farther from the `last` shapes than their `shift`; a column without one is not judged."""
    from loopwright.statistics import bins
    from loopwright.statistics.distances import jensen_shannon

    found = []
    for name, column in loop.data.contract.items():
        if column.shift is None or name not in last:
            continue
        before = bins.read(name, last[name])
        values = _values(valid, name)
        distance = jensen_shannon(before.counts, before.count(values))
        if distance > column.shift:
            text = f"it is {distance:.2f} from the last accepted data (Jensen-Shannon distance)"
            expected = f"at most {column.shift:g} (`shift`)"
            found.append(contract.whole(name, "shift", len(values), text, expected, column.policy))
    return found


def _values(valid: Path, name: str) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(valid, columns=[name])[name].to_pandas()
