"""What a check of the data came to: the rules that were broken, and whether the data may be used."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from loopwright.errors import ContractError
from loopwright.loop import Loop

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Violation:
    """One broken rule: where, what was found and expected, in how many rows, and whether that stops the data."""

    column: str
    rule: str
    rows: int
    found: str
    expected: str
    fatal: bool
    samples: tuple[str, ...] = ()
    """A few of the values. They may be personal, so they are shown to who asks and kept out of messages."""
    policy: str = "quarantine"
    """What becomes of it: fail, quarantine or warn."""

    def __str__(self) -> str:
        return f"{self.column}: {self.found}; expected {self.expected}"


@dataclass(frozen=True)
class Outcome:
    """What a check of all rows came to."""

    violations: tuple[Violation, ...]
    notes: tuple[str, ...]
    rows: int
    aside: int
    newest: datetime | None

    def report(self) -> dict[str, Any]:
        """The outcome as JSON: rows, kept, set aside, violations, notes."""
        return {
            "rows": self.rows,
            "kept": self.rows - self.aside,
            "set_aside": self.aside,
            "violations": [asdict(violation) for violation in self.violations],
            "notes": list(self.notes),
        }

    def require(self, loop: Loop) -> None:
        """Raise ContractError when the data may not be used."""
        fatal = [violation for violation in self.violations if violation.fatal]
        if fatal:
            raise ContractError(
                "the data breaks its contract: " + "; ".join(map(str, fatal)),
                do="correct the source, or what `data.contract` in loop.yaml accepts; "
                "`loopwright check` shows every finding",
            )
        share = self.aside / self.rows
        if share > loop.data.set_aside or self.aside == self.rows:
            worst = sorted(self.violations, key=lambda violation: -violation.rows)[:3]
            raise ContractError(
                f"{self.aside:,} of {self.rows:,} rows ({share:.1%}) break the contract: " + "; ".join(map(str, worst)),
                expected=f"at most {loop.data.set_aside:.1%} (`data.set_aside`)",
                do="correct the source or the contract; `loopwright check` shows every finding",
            )


@dataclass(frozen=True)
class Checked(Outcome):
    """The outcome together with the rows: those that may be used, typed, and the raw ones that were set aside."""

    valid: "pd.DataFrame"
    set_aside: "pd.DataFrame"
    """The raw rows that break a rule, with the reasons in a column `loopwright_reasons`."""


def whole(column: str, rule: str, rows: int, found: str, expected: str, policy: str) -> Violation:
    """A broken rule about all rows, which stops the data unless its policy is to warn."""
    policy = "warn" if policy == "warn" else "fail"
    return Violation(column, rule, rows, found, expected, policy == "fail", (), policy)
