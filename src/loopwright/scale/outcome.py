"""What comes of tasks that Dask workers were given, and how it is noticed that nothing will.

    task -> its result, or what it raised -> LostError where its worker is gone, RunError where nobody can do it

A Dask future waits for ever for a worker that was lost after it had finished, or that takes no more work; so while one
is waited for, the scheduler is asked which workers there are.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

from loopwright.errors import RunError

POLL = 0.5
PAUSED = 60.0
"""Seconds that a worker may be paused without working on anything; Dask pauses it at 80 % of its memory."""
GATHER = 120.0
"""Seconds to fetch a result that a worker has."""
Result = TypeVar("Result")


class LostError(Exception):
    """A worker is gone, and what it was doing with others cannot go on."""


@contextmanager
def scheduler() -> Iterator[None]:
    """Raise RunError for what Dask's client raises without its scheduler; no task's own error is raised inside."""
    from distributed.client import CancelledError

    try:
        yield
    except (CancelledError, OSError, RuntimeError) as error:
        raise RunError(
            f"the Dask scheduler is gone: {'connection lost' if isinstance(error, CancelledError) else _line(error)}",
            expected="a scheduler that lives to the end of the step",
            do="see to it and its log, and run again",
        ) from error


def there(client: Any) -> dict[str, Any]:
    """The workers that there are now, by address, with what the scheduler knows of each. Raises RunError."""
    with scheduler():
        found: dict[str, Any] = client.scheduler_info(n_workers=-1).get("workers", {})
    if client.status == "closed":
        raise RunError("the Dask scheduler is gone", do="see to it and its log, and run again")
    return found


def running(client: Any) -> list[str]:
    """The addresses of workers that take work."""
    return sorted(address for address, known in there(client).items() if known["status"] == "running")


def of_task(client: Any, future: Any, attempts: int, where: str) -> Any:
    """The result of a task that any worker may do; what it raised is raised, RunError for workers and disks."""
    from distributed import KilledWorker

    paused = _Paused()
    while future.status not in ("finished", "error", "cancelled"):
        _wait(client, [future])
        if (known := there(client)) and len(long := paused.long(known)) == len(known):
            raise _too_full(long)
    try:
        if future.status == "error":
            return future.result()
        with scheduler():
            return future.result()
    except KilledWorker as error:
        raise RunError(
            f"Dask workers were lost {attempts} times {where}: {_line(error)}",
            expected="memory for what they hold at a time: a part of the rows, or what an estimator makes of them",
            do="give the workers more memory (`scale.memory`, or the pods' limits)",
        ) from error
    except OSError as error:
        raise RunError(f"a Dask worker cannot read or write its rows: {_line(error)}") from error


class Group:
    """Workers that do something together: each a part of it, at the same time."""

    def __init__(self, client: Any, members: Sequence[str]) -> None:
        self._client, self.members = client, list(members)
        self._futures: list[Any] = []

    @property
    def waiting(self) -> bool:
        """Whether some are not done with what they were given last: each may wait for another that is gone."""
        return any(one.status != "finished" for one in self._futures)

    @property
    def hosts(self) -> list[str]:
        """The host of each."""
        return [str(urlsplit(address).hostname) for address in self.members]

    def run(self, function: Callable[..., Result], arguments: Sequence[tuple[Any, ...]]) -> list[Result]:
        """What the function gives of each member's arguments. Raises LostError, and what the function raises."""
        if len(self.members) < len(arguments):
            raise LostError(f"of {len(arguments)} Dask workers {len(self.members)} are left")
        members, paused = self.members[: len(arguments)], _Paused()
        with scheduler():
            futures = self._futures = [
                self._client.submit(
                    function, *given, workers=[member], allow_other_workers=False, pure=False, retries=0
                )
                for member, given in zip(members, arguments, strict=True)
            ]
        while True:
            known = there(self._client)
            # Before what failed: the others fail because one is gone.
            if gone := [member for member in members if member not in known]:
                raise LostError(f"the Dask worker {gone[0]} was lost")
            if failed := next((one for one in futures if one.status in ("error", "cancelled", "lost")), None):
                return [_told(failed)]
            if not (pending := [one for one in futures if one.status == "pending"]):
                return [_told(one) for one in futures]
            if long := [member for member in paused.long(known) if member in members]:
                raise _too_full(long)
            _wait(self._client, pending)


def _told(future: Any) -> Any:
    """What a member's task gave or raised. Raises LostError where its worker was lost, with or after it."""
    from distributed import KilledWorker

    if future.status == "lost":
        raise LostError("a Dask worker was lost with what it had found")
    try:
        if future.status == "error":
            return future.result()
        with scheduler():
            try:
                return future.result(timeout=GATHER)
            except TimeoutError as error:
                raise LostError(f"what a Dask worker had found did not come in {GATHER:.0f} s") from error
    except KilledWorker as error:
        raise LostError(f"a Dask worker was lost: {_line(error)}") from error


def _wait(client: Any, futures: Sequence[Any]) -> None:
    """Until the first is done, or it is time to look at the workers."""
    from distributed import wait

    with scheduler(), suppress(TimeoutError), client.as_current():
        wait(futures, timeout=POLL, return_when="FIRST_COMPLETED")


class _Paused:
    """Since when workers are paused and do nothing: one that is paused goes on with the task that it has."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def long(self, known: dict[str, Any]) -> list[str]:
        now = time.monotonic()
        self._since = {
            address: self._since.get(address, now)
            for address, one in known.items()
            if one["status"] == "paused" and not one["metrics"].get("executing")
        }
        return [address for address, since in self._since.items() if now - since > PAUSED]


def _too_full(workers: Sequence[str]) -> RunError:
    return RunError(
        f"the Dask worker {workers[0]} is paused for want of memory, and stays so",
        expected="memory for a worker's rows; Dask pauses it at 80 % of its limit",
        do="give the workers more memory, or set DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE=false for them",
    )


def _line(error: BaseException) -> str:
    """The first line of what an error says."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
