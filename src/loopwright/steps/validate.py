"""Hold the snapshot against the contract: what may be used goes on, what breaks a rule is set aside with its reason.

Rows are read, held against it and written batch by batch, so that memory is for one batch.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.data import contract
from loopwright.errors import ContractError
from loopwright.files import write_json
from loopwright.loop import Loop
from loopwright.steps import shapes

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

BATCH_ROWS = 50_000


def validate(
    loop: Loop,
    rows: Path,
    valid: Path,
    set_aside: Path,
    report: Path,
    now: datetime | None = None,
    last: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the valid rows, typed, and the rows set aside, as Parquet, and the report as JSON.

    `now` is the loop's time, by which freshness is judged; `last` is what this step said of the last data that was
    accepted, against which distributions are. Raises ContractError when the data may not be used; the report and the
    rows set aside are written all the same.
    """
    for path in (valid, set_aside, report):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        checked = gone_through(loop, rows, valid, set_aside, now)
    except BaseException:
        valid.unlink(missing_ok=True)
        raise
    before = (last or {}).get("shapes") or {}
    checked = replace(checked, violations=(*checked.violations, *shapes.shifted(loop, valid, before)))
    write_json(report, checked.report())
    try:
        checked.require(loop)
    except ContractError:
        valid.unlink()
        raise
    facts = checked.report()
    facts["violations"] = [
        {"column": each.column, "rule": each.rule, "rows": each.rows, "expected": each.expected, "policy": each.policy}
        for each in checked.violations
    ]
    found = shapes.shapes(loop, valid)
    return {**facts, **({"shapes": found} if found else {})}


def gone_through(loop: Loop, rows: Path, valid: Path, set_aside: Path, now: datetime | None) -> contract.Outcome:
    """Check all rows and write them to the two files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    under_way = contract.Check(loop)
    opened = pq.ParquetFile(rows, pre_buffer=False)
    names = [*opened.schema_arrow.names, contract.REASONS]
    text = pa.schema([(name, pa.string()) for name in names])
    typed: pa.Schema | None = None
    good: Any = None
    with pq.ParquetWriter(set_aside, text) as aside:
        try:
            for batch in opened.iter_batches(BATCH_ROWS, use_threads=False):
                # Whole numbers stay whole where some are missing: an id 7 is not 7.0.
                kept, bad = under_way.add(batch.to_pandas(integer_object_nulls=True))
                if good is None:
                    typed = _schema(kept)
                    good = pq.ParquetWriter(valid, typed)
                good.write_table(_table(kept, typed))
                if len(bad):
                    aside.write_table(_table(bad.astype("string"), text))
        finally:
            if good is not None:
                good.close()
    return under_way.end(now)


def _schema(frame: "pd.DataFrame") -> "pa.Schema":
    """The same for all batches, also where one has no value in a column."""
    import pandas as pd
    import pyarrow as pa

    def kind(dtype: Any) -> "pa.DataType":
        if pd.api.types.is_datetime64_any_dtype(dtype):
            # Nanoseconds would end in 2262, and begin in 1677.
            return pa.timestamp("us", "UTC")
        return pa.float64() if pd.api.types.is_float_dtype(dtype) else pa.string()

    return pa.schema([(str(name), kind(dtype)) for name, dtype in frame.dtypes.items()])


def _table(frame: "pd.DataFrame", schema: Any) -> "pa.Table":
    import pyarrow as pa

    return pa.Table.from_pandas(frame, schema, preserve_index=False, safe=False)
