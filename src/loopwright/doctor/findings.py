"""A finding: what was looked at, how it is, and what to do; and how an error of a check becomes one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from loopwright.errors import LoopwrightError
from loopwright.rollout.kserve.cluster import Forbidden
from loopwright.settings import redacted

OK, NOTE, WARNING, PROBLEM = "ok", "note", "warning", "problem"
STATES = (OK, NOTE, WARNING, PROBLEM)
"""From good to bad. A note: it could not be looked at, or is not needed. A warning: a part will not work."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """What was looked at, such as `storage class`."""
    state: str
    """One of STATES."""
    text: str
    """What was found."""
    do: str = ""
    """What to do; empty where nothing is to be done."""

    def facts(self) -> dict[str, str]:
        """The finding as a program reads it."""
        return asdict(self)


def worst(findings: Iterable[Finding]) -> str:
    """The worst state; `ok` of none."""
    return max((one.state for one in findings), key=STATES.index, default=OK)


def of_error(check: str, error: LoopwrightError, state: str = PROBLEM) -> Finding:
    """An error's message, in the two parts that a finding has."""
    found = f"{error.found}; expected {error.expected}" if error.expected else error.found
    return Finding(check, state, redacted(found), error.do)


def collect(checks: Sequence[tuple[str, Callable[[], Iterable[Finding]]]]) -> Iterator[Finding]:
    """The findings of checks by their names; a LoopwrightError of one is its finding, and the next one goes on.

    What the caller may not look at is a note: nothing is known to be wrong.
    """
    for name, check in checks:
        try:
            yield from check()
        except Forbidden as error:
            # One that names no rule: the API server does not know the caller at all.
            yield of_error(name, error, NOTE if error.expected else PROBLEM)
        except LoopwrightError as error:
            yield of_error(name, error)
