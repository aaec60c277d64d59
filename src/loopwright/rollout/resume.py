"""What a rollout needs to go on after it was killed, and the lock that keeps two rollouts apart."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from loopwright import processes
from loopwright.errors import RolloutError, StateError
from loopwright.rollout.counts import UNKNOWN, Arm
from loopwright.rollout.evidence import Step
from loopwright.rollout.state import write_json

Phase = Literal["adding", "stepping", "promoting", "withdrawing"]


@dataclass(frozen=True)
class Saved:
    """A rollout under way. Times are real seconds since the epoch; counts are cumulative, as the gateway gives them."""

    version: int
    bundle: str
    digest: str
    champion: int | None
    steps: tuple[int, ...]
    rollout_entry: int
    """The ledger entry of the rollout, and below the newest one: what comes next is caused by it."""
    entry: int
    started: float
    phase: Phase = "adding"
    index: int = 0
    """Which of `steps` it is in."""
    step_started: float = 0.0
    before: Arm = UNKNOWN
    """The champion's counts when the rollout began."""
    begun: Arm = UNKNOWN
    """The challenger's counts when it came."""
    base: tuple[Arm, Arm] | None = None
    """The champion's and the challenger's counts when the step began; none until it has begun."""
    done: tuple[Step, ...] = ()
    """What both did in the steps that are over."""
    reason: str = ""
    """Why it is withdrawn, and below since when."""
    decided: float = 0.0

    def same(self, version: int, digest: str, steps: tuple[int, ...]) -> bool:
        """Whether this is a rollout of that version by that plan."""
        return (self.version, self.digest, self.steps) == (version, digest, steps)


def load(path: Path) -> Saved | None:
    """The rollout that was under way, if one was. Raises StateError for a damaged file."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Saved(
            **found
            | {
                "steps": tuple(found["steps"]),
                "before": Arm.from_json(found["before"]),
                "begun": Arm.from_json(found["begun"]),
                "base": None if found["base"] is None else tuple(Arm.from_json(arm) for arm in found["base"]),
                "done": tuple(
                    Step(one["weight"], Arm.from_json(one["champion"]), Arm.from_json(one["challenger"]))
                    for one in found["done"]
                ),
            }
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"{path} cannot be read: {error}",
            expected="the state of the rollout that was under way",
            do="remove the file; the next rollout withdraws the challenger that was left",
        ) from error


def save(path: Path, saved: Saved) -> None:
    """Write the state, so that a crash finds this one or the one before."""
    content = asdict(saved) | {
        "before": saved.before.to_json(),
        "begun": saved.begun.to_json(),
        "base": None if saved.base is None else [arm.to_json() for arm in saved.base],
        "done": [
            {"weight": step.weight, "champion": step.champion.to_json(), "challenger": step.challenger.to_json()}
            for step in saved.done
        ],
    }
    write_json(path, content, durable=True)


@contextmanager
def alone(path: Path, version: int) -> Iterator[None]:
    """Hold the lock of a loop's rollouts. Raises RolloutError naming the process that has it."""
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            holder = stack.enter_context(processes.locked(path, f"{os.getpid()} {version}"))
        except OSError as error:
            raise StateError(
                f"{path} cannot be opened: {error.strerror or error}", do="check its permissions"
            ) from error
        if holder is not None:
            pid, _, other = holder.partition(" ")
            raise RolloutError(
                f"process {pid or '?'} is rolling out version {other or '?'}",
                expected="one rollout of a loop at a time",
                do="wait until it is over; Ctrl-C in that process takes its challenger back",
            )
        yield
