"""Where a rollout's state lives, who may go on with it, and what another process tells it to do.

One protocol: files of the state folder here, objects of the cluster in rollout/kserve. The state is written by the
one rollout that is `alone`; a command is written by anybody who may, and read at the rollout's next look.
"""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self, get_args

from loopwright import processes
from loopwright.errors import RolloutError, StateError
from loopwright.rollout.resume import Saved
from loopwright.rollout.state import write_json

Kind = Literal["pause", "resume", "promote", "abort"]


class Held(RolloutError):
    """Another process rolls this loop out now."""


@dataclass(frozen=True)
class Command:
    """What a person tells a rollout to do. `at` is in real seconds since the epoch."""

    kind: Kind
    who: str
    why: str = ""
    at: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Read what `to_json` gave. Raises ValueError, TypeError or KeyError for anything else."""
        if found["kind"] not in get_args(Kind):
            raise ValueError(f"{found['kind']!r} is no command; expected one of {', '.join(get_args(Kind))}")
        return cls(found["kind"], str(found["who"]), str(found.get("why", "")), float(found.get("at", 0)))


class States(Protocol):
    """The state of one loop's rollout. Every method may be called again."""

    def load(self) -> Saved | None:
        """The rollout that is under way, or was left unfinished. Raises StateError for a damaged one."""

    def save(self, saved: Saved) -> None:
        """Keep the state durably: a crash finds this one or the one before."""

    def clear(self) -> None:
        """The rollout is over: nothing is under way, and no command is left."""

    def alone(self, version: int) -> AbstractContextManager[None]:
        """Exclude other rollouts of the loop. Raises Held, naming the holder, where there is one."""

    def command(self) -> Command | None:
        """What was told last and not yet cleared. A damaged one raises StateError."""

    def clear_command(self) -> None:
        """It was done."""

    def tell(self, command: Command) -> None:
        """Tell the rollout, from any process; a later command replaces one that was not read yet."""

    def note(self, verdict: str, reason: str, version: int, weight: int) -> None:
        """Show the newest verdict where people look at the service; the ledger has it in any case."""


class FileStates:
    """The state in a folder, `settings.live`: the state, a command, and a lock of the kernel's that ends with its
    process however that ends."""

    def __init__(self, folder: Path) -> None:
        self._state, self._command, self._lock = (
            folder / name for name in ("rollout.json", "rollout-command.json", "rollout.lock")
        )

    def load(self) -> Saved | None:
        found = _read(self._state, "remove the file; the next rollout withdraws the challenger that was left")
        if found is None:
            return None
        try:
            return Saved.from_json(found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(
                f"{self._state} cannot be read: {error}",
                expected="the state of the rollout that was under way",
                do="remove the file; the next rollout withdraws the challenger that was left",
            ) from error

    def save(self, saved: Saved) -> None:
        write_json(self._state, saved.to_json(), durable=True)

    def clear(self) -> None:
        self.clear_command()
        self._state.unlink(missing_ok=True)

    @contextmanager
    def alone(self, version: int) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                self._lock.parent.mkdir(parents=True, exist_ok=True)
                holder = stack.enter_context(processes.locked(self._lock, f"{os.getpid()} {version}"))
            except OSError as error:
                raise StateError(
                    f"{self._lock} cannot be opened: {error.strerror or error}", do="check its permissions"
                ) from error
            if holder is not None:
                pid, _, other = holder.partition(" ")
                raise Held(
                    f"process {pid or '?'} is rolling out version {other or '?'}",
                    expected="one rollout of a loop at a time",
                    do="wait until it is over; `loopwright rollout abort` takes its challenger back",
                )
            yield

    def command(self) -> Command | None:
        do = "remove the file, and give the command again"
        found = _read(self._command, do)
        try:
            return None if found is None else Command.from_json(found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(f"{self._command} cannot be read: {error}", expected="a command", do=do) from error

    def clear_command(self) -> None:
        self._command.unlink(missing_ok=True)

    def tell(self, command: Command) -> None:
        write_json(self._command, command.to_json(), durable=True)

    def note(self, verdict: str, reason: str, version: int, weight: int) -> None:
        # `loopwright status` and `history` read the ledger here, which has it.
        return


def _read(path: Path, do: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StateError(f"{path} cannot be read: {error}", expected="what a rollout wrote", do=do) from error
