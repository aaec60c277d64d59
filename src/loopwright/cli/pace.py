"""How far a long command is: a bar with the rate and the time left on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from loopwright.durations import format_duration

if TYPE_CHECKING:
    from rich.console import Console

EVERY = 10.0
"""Real seconds between two lines where there is no terminal."""


class Pace:
    """Counts rows of `total`, None where it is not known; `clock` gives seconds."""

    def __init__(
        self, console: "Console", total: int | None, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._total, self._done, self._clock = console, total, done, clock
        self._at_first, self._began, self._said = done, clock(), clock()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._console.quiet:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._text(), total=self._total, completed=self._done)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self._began

    @property
    def rate(self) -> float:
        """Rows a second so far."""
        return (self._done - self._at_first) / max(self.seconds, 1e-9)

    def add(self, rows: int) -> None:
        """So many rows more are done."""
        self._done += rows
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=self._text())
        elif self._clock() - self._said >= EVERY:
            self._said = self._clock()
            self._console.print(self._text() + self._left())

    def _text(self) -> str:
        of = f" of {self._total:,}" if self._total is not None else ""
        return f"{self._done:,}{of} rows, {self.rate:,.0f} rows/s"

    def _left(self) -> str:
        from datetime import timedelta

        if self._total is None or self.rate <= 0:
            return ""
        left = round((self._total - self._done) / self.rate)
        return f", {format_duration(timedelta(seconds=left))} left"
