"""Dask workers: started on this machine for as long as a step needs them, or those of a scheduler that is there.

    parts -> map: one task a part, a few at a time, done again elsewhere where its worker was lost
    parts -> together: one task a worker, all at once; where one is lost, all are ended and it begins again

Of Dask its futures are used and nothing else. Whoever reaches a scheduler can run code on its workers: those of this
machine take nobody without the keys made for them (TLS), and a cluster's are for its administrator to close. While
several train, LightGBM listens on every address of its machine and asks for no key; it cannot be told to do otherwise.
"""

import logging
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from loopwright import processes
from loopwright.errors import RunError
from loopwright.loop import Scale
from loopwright.scale import outcome
from loopwright.scale.outcome import Group, LostError

ADDRESS = "LOOPWRIGHT_DASK"
"""The environment variable with the address of a scheduler, for a loop that names none."""
ATTEMPTS = 3
"""Of what workers do together, and of one task whose workers are lost."""
PATIENCE = 120.0
"""Seconds that workers may take to be there: pods are to be started, and images fetched."""
_CONFIGURED = {
    "distributed.scheduler.allowed-failures": ATTEMPTS - 1,
    # A worker near its memory would be paused, some for ever: it is ended, and its work is done again.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # No pages of what workers do: they ask nobody for a key.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
_FOLDER = "loopwright-dask-"
_TOGETHER = "loopwright-together"
_LONGEST = 6 * 3600.0
"""Seconds that one training may wait for another that has the workers."""
_AHEAD = 3
"""Tasks a worker that are handed out at a time, so that none waits and what they hold does not grow."""
Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


@contextmanager
def workers(scale: Scale, *, beside: bool = False) -> Iterator["Workers"]:
    """Workers of a declared scale, `beside` this process or where its address says. Raises RunError for none."""
    try:
        import dask
        import distributed
    except ImportError as error:
        raise RunError(
            "`scale: dask` needs Dask, which is not installed here",
            expected="the extra `dask`",
            do="pip install 'loopwright[dask]'; for images see docs/scale.md",
        ) from error
    # Every connection is a line of its own in the step's log otherwise.
    logging.getLogger("distributed").setLevel(logging.WARNING)
    address = "" if beside else scale.address or os.environ.get(ADDRESS) or ""
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_CONFIGURED))
        try:
            if address:
                keys = distributed.Security().get_connection_args("client")["ssl_context"]
                if address.startswith("tls:") and keys is None:
                    raise ValueError("the step has no keys for it (DASK_DISTRIBUTED__COMM__TLS__..., docs/scale.md)")
                client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
            else:
                security = distributed.Security.temporary()
                folder = stack.enter_context(_folder())
                cluster = distributed.LocalCluster(
                    n_workers=scale.workers, threads_per_worker=1, processes=True, host="127.0.0.1", protocol="tls",
                    security=security, memory_limit=scale.memory or "auto", dashboard_address="127.0.0.1:0",
                    local_directory=folder, silence_logs=logging.CRITICAL,
                )  # fmt: skip
                stack.enter_context(cluster)
                client = distributed.Client(cluster, security=security, set_as_default=False)
            stack.enter_context(client)
            client.wait_for_workers(scale.workers, timeout=PATIENCE)
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            raise RunError(
                f"the Dask workers {f'of {address}' if address else 'of this machine'} are not there: {error}",
                expected=f"{scale.workers} workers within {PATIENCE:.0f} s (`scale.workers`)",
                do="see to the scheduler and its workers" if address else "see to memory and processes here",
            ) from error
        yield Workers(client, scale.workers, shared=not address)


@contextmanager
def _folder() -> Iterator[str]:
    """A folder for what workers of this machine put on disk: rows. What a process that was killed left is removed."""
    root = Path(tempfile.gettempdir())
    for old in root.glob(f"{_FOLDER}*-*"):
        pid = old.name.removeprefix(_FOLDER).partition("-")[0]
        if pid.isdecimal() and not processes.alive(int(pid), None):
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-") as folder:
        yield folder


class Workers:
    """At least `count` workers that a client is connected to; see the module for what they do."""

    def __init__(self, client: Any, count: int, *, shared: bool) -> None:
        self._client, self.count, self._shared = client, count, shared
        self.lost = 0
        """How often what workers did together had to begin again."""

    def addresses(self) -> list[str]:
        """Where the workers are that there are now."""
        return sorted(outcome.there(self._client))

    def require_seen(self, *paths: Path) -> None:
        """Raise RunError where a worker does not see these files, as a pod with another disk."""
        if self._shared:
            return
        with outcome.scheduler():
            found = self._client.run(_absent, [str(path.resolve()) for path in paths])
        if absent := {worker: gone for worker, gone in found.items() if gone}:
            worker, gone = next(iter(absent.items()))
            raise RunError(
                f"{len(absent)} of {len(found)} Dask workers do not see the run's files: {worker} has no {gone[0]}",
                expected="one claim or folder at the same path in the steps' pods and in the workers",
                do="mount it there (docs/scale.md), or leave the address out for workers beside the step",
            )

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results in the order of the items; what the function raises is raised, RunError for lost workers."""
        under_way: deque[Any] = deque()
        for item in items:
            if len(under_way) >= _AHEAD * self.count:
                yield outcome.of_part(self._client, under_way.popleft(), ATTEMPTS)
            with outcome.scheduler():
                under_way.append(self._client.submit(function, item, pure=False))
        while under_way:
            yield outcome.of_part(self._client, under_way.popleft(), ATTEMPTS)

    def together(self, attempt: Callable[["Group"], Result]) -> Result:
        """What `attempt` makes of a group of workers; again with another group where one of it is lost.

        One at a time of all who use these workers: two would each hold a worker that the other waits for. Raises
        RunError where that happens `ATTEMPTS` times, and what the attempt raises.
        """
        why: LostError | None = None
        with self._alone():
            for _ in range(ATTEMPTS):
                self._wait()
                group = Group(self._client, outcome.running(self._client)[: self.count])
                try:
                    return attempt(group)
                except LostError as error:
                    why = error
                    self.lost += 1
                    log.warning("%s; its work begins again", error)
                finally:
                    if group.waiting:
                        self._end(group)
        raise RunError(
            f"Dask workers were lost {ATTEMPTS} times while they trained together: {why}",
            expected="workers that live to the end of a training",
            do="give them more memory (`scale.memory`, or the pods' limits), or their rows to more of them "
            "(`scale.workers`)",
        ) from why

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other training on these workers meanwhile, whoever asked for it."""
        from distributed import Lock

        with self._client.as_current():
            with outcome.scheduler():
                lock = Lock(_TOGETHER)
                if not (mine := lock.acquire(timeout=1)):
                    log.warning("another loop trains on these Dask workers; this one waits for it")
                    mine = lock.acquire(timeout=_LONGEST)
            if not mine:
                raise RunError(
                    f"another loop has trained on these Dask workers for {_LONGEST / 3600:.0f} hours",
                    do="see to it, or give this loop workers of its own",
                )
            try:
                yield
            finally:
                with suppress(Exception):
                    # The scheduler may be gone, and with it the lock.
                    lock.release()

    def _wait(self) -> None:
        with outcome.scheduler():
            try:
                self._client.wait_for_workers(self.count, timeout=PATIENCE)
            except TimeoutError as error:
                raise RunError(
                    f"{len(outcome.running(self._client))} Dask workers are there that take work",
                    expected=f"{self.count} (`scale.workers`)",
                ) from error

    def _end(self, group: "Group") -> None:
        """End the processes of what is left of a group: each would wait for the others for half an hour."""
        with suppress(Exception):
            # One without a nanny, or gone meanwhile, or all with the scheduler; what is there next is asked for again.
            left = [address for address in group.members if address in self.addresses()]
            self._client.restart_workers(left, timeout=PATIENCE, raise_for_error=False)


def _absent(paths: list[str]) -> list[str]:
    """Runs on a worker: which files it does not see."""
    return [path for path in paths if not Path(path).exists()]
