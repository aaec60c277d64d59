"""Explanations of many rows, in slices: what nobody waits for ends, and what cannot be done in time is refused.

A prediction's thread is done in milliseconds; an explanation may take seconds a row of a large forest, and a thread
cannot be ended from outside. So explanations have a queue of their own, apart from predictions, and look after each
slice whether to go on.
"""

import time
from collections.abc import Callable
from threading import Event
from typing import Any

from loopwright.models.columns import Columns
from loopwright.models.explain import Explain
from loopwright.serving.scorer import Queue, TooManyRows

_SLICE = 0.1
"""Seconds that a slice takes, about: so much longer than the caller a thread works at most, or one row's time."""
_MOST_ROWS = 1000
_MEASURED = 1 / 30
"""Of the time limit: what was done by then says how long all will take."""


async def explained(queue: Queue, explain: Explain, columns: Columns, count: int) -> list[dict[str, Any]]:
    """What `explain` says of the `count` rows of columns. Raises Overloaded, TooManyRows and what it raises."""
    gone = Event()
    try:
        return await queue.do(lambda: in_slices(explain, columns, count, queue.limits.seconds, gone))
    finally:
        gone.set()


def in_slices(
    explain: Explain,
    columns: Columns,
    count: int,
    seconds: float,
    gone: Event,
    clock: Callable[[], float] = time.monotonic,
) -> list[dict[str, Any]]:
    """The explanations of all rows, or of some when `gone` is set meanwhile.

    Raises TooManyRows when the first ones show that all would take longer than `seconds`.
    """
    # The first row is not measured, as it may make what the others use: a forest's trees are copied for it.
    found = explain({name: values[:1] for name, values in columns.items()})
    began, size = clock(), 1
    while len(found) < count and not gone.is_set():
        at = slice(len(found), len(found) + size)
        found += explain({name: values[at] for name, values in columns.items()})
        took = max(clock() - began, 1e-9)
        speed = (len(found) - 1) / took
        if took > seconds * _MEASURED and count > speed * seconds:
            raise TooManyRows(
                f"explanations of {count} rows by this model take about {count / speed:.0f} s; expected at most "
                f"{seconds:g} s. Send at most {max(1, int(speed * seconds / 2))} rows in a request"
            )
        size = min(max(int(speed * _SLICE), 1), _MOST_ROWS)
    return found
