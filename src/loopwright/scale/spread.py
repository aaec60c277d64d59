"""Where a function of each part runs: in this process, or on Dask workers where the loop declares a scale."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from loopwright.loop import Scale

if TYPE_CHECKING:
    from loopwright.scale.workers import Workers

Item = TypeVar("Item")
Result = TypeVar("Result")


class Spread(Protocol):
    """Whatever applies functions to parts."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results in the order of the items; what the function raises is raised."""
        ...

    def require_seen(self, *paths: Path) -> None:
        """Raise RunError where not all processes see these files."""
        ...


class Here:
    """This process, one part after the other."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results in the order of the items."""
        return map(function, items)

    def require_seen(self, *paths: Path) -> None:
        """This process sees what it is asked to."""


def spread(scale: Scale | None, *, beside: bool = False) -> "AbstractContextManager[Here | Workers]":
    """This process, or the workers of a declared scale for as long as the context lasts. Raises RunError.

    With `beside` they are started on this machine, whatever address there is.
    """
    if scale is None:
        return nullcontext(Here())
    from loopwright.scale.connected import workers

    return workers(scale, beside=beside)
