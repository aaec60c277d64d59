"""The part of the ledger that decisions are made from, read forward as it grows, and written with the trigger's clock.

Entries never change, so each is read once; what is counted for /metrics is counted from the same entries, which makes
the counters outlive a restart and include what other processes did.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from loopwright.ledger import DuplicateEntry, Entry, Ledger
from loopwright.trigger.decide import Rule
from loopwright.trigger.records import runs

log = logging.getLogger("loopwright.trigger")

KINDS = frozenset(
    {
        *("alarm", "event", "request", "scheduled", "decision", "run", "snapshot", "run_ended"),
        *("registered", "promoted", "rolled_back", "reported"),
    }
)


class History:
    """One loop's entries of the kinds that matter here; may be read from several threads."""

    def __init__(self, ledger: Ledger, loop: str, clock: Callable[[], datetime]) -> None:
        self._ledger, self._loop, self._clock = ledger, loop, clock
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._seen = 0

    def read(self) -> tuple[Entry, ...]:
        """Everything up to now, in order. Raises StateError when the ledger cannot be read."""
        with self._lock:
            new = self._ledger.entries(self._loop, after=self._seen)
            if new:
                self._seen = new[-1].number
                self._entries.extend(entry for entry in new if entry.kind in KINDS)
            return tuple(self._entries)

    def get(self, number: int) -> Entry:
        """One entry of the ledger."""
        return self._ledger.get(number)

    def append(self, kind: str, facts: Mapping[str, Any], *, cause: int | None = None, key: str | None = None) -> Entry:
        """Write an entry, stamped by the clock; with a `key` below `<loop>/`. Raises DuplicateEntry, StateError."""
        full = f"{self._loop}/{key}" if key else None
        return self._ledger.append(self._loop, kind, facts, cause=cause, key=full, at=self._clock())

    def append_once(self, kind: str, facts: Mapping[str, Any], *, cause: int | None = None, key: str) -> None:
        """Write an entry unless there is one with this key."""
        try:
            entry = self.append(kind, facts, cause=cause, key=key)
        except DuplicateEntry:
            return
        log.info("%s %d: %s", kind, entry.number, facts.get("reason") or facts)


def decisions(entries: Sequence[Entry]) -> Counter[tuple[str, str]]:
    """How many decisions there are, by action and rule; a rule that is not the trigger's own counts as `other`."""
    rules = (*get_args(Rule), "other_loop")
    counts: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        if entry.kind == "decision":
            rule = entry.facts.get("rule")
            counts[str(entry.facts["action"]), str(rule) if rule in rules else "other"] += 1
    return counts


def states(entries: Sequence[Entry]) -> Counter[str]:
    """How many runs ended, by state."""
    return Counter(run.state for run in runs(entries) if run.state is not None)
