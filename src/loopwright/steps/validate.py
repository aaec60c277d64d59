"""Hold the snapshot against the contract: what may be used goes on, what breaks a rule is set aside with its reason."""

from pathlib import Path
from typing import Any

from loopwright.data import contract
from loopwright.files import write_json
from loopwright.loop import Loop


def validate(loop: Loop, rows: Path, valid: Path, set_aside: Path, report: Path) -> dict[str, Any]:
    """Write the valid rows, typed, and the rows set aside, as Parquet, and the report as JSON.

    Raises ContractError when the data may not be used; the report and the rows set aside are written all the same.
    """
    import pandas as pd

    checked = contract.check(pd.read_parquet(rows), loop)
    for path in (valid, set_aside, report):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(report, checked.report())
    checked.set_aside.astype("string").to_parquet(set_aside, index=False)
    checked.require(loop)
    checked.valid.to_parquet(valid, index=False)
    facts = checked.report()
    facts["violations"] = [
        {"column": each.column, "rule": each.rule, "rows": each.rows, "expected": each.expected}
        for each in checked.violations
    ]
    return facts
