"""What Dask workers do: work on parts each by itself, or on one thing together.

    parts -> map: one task a part, a few at a time, done again elsewhere where its worker was lost
    parts -> together: one task a worker, all at once; where one is lost, all are ended and it begins again
    a fit -> joblib: what scikit-learn does in parallel, such as the trees of a forest; each done again as parts are

Of Dask its futures are used and nothing else. While several train together, LightGBM listens on every address of its
machine and asks for no key; it cannot be told to do otherwise.
"""

import logging
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from loopwright.errors import RunError
from loopwright.scale import outcome
from loopwright.scale.outcome import Group, LostError

ATTEMPTS = 3
"""Of what workers do together, and of one task whose workers are lost."""
PATIENCE = 120.0
"""Seconds that workers may take to be there: pods are to be started, and images fetched."""
_TOGETHER = "loopwright-together"
_LONGEST = 6 * 3600.0
"""Seconds that one training may wait for another that has the workers."""
_PART = "on the same part of the rows"
_AHEAD = 3
"""Tasks a worker that are handed out at a time, so that none waits and what they hold does not grow."""
Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


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
        with outcome.scheduler():
            # What it carries, as a model, is handed out once and not with each part. It is a task's result, which is
            # made again where its worker is lost; data that were scattered would be gone.
            carried = self._client.submit(_itself, function, pure=False)
        for item in items:
            if len(under_way) >= _AHEAD * self.count:
                yield outcome.of_task(self._client, under_way.popleft(), ATTEMPTS, _PART)
            with outcome.scheduler():
                under_way.append(self._client.submit(_called, carried, item, pure=False))
        while under_way:
            yield outcome.of_task(self._client, under_way.popleft(), ATTEMPTS, _PART)

    def joblib(self, folder: Path, function: Callable[[], Result]) -> Result:
        """What the function gives; what it does in parallel with joblib, as scikit-learn's estimators do, is done here.

        Arrays lie in the folder meanwhile, which the workers have to see. Raises RunError, and what the function does.
        """
        from joblib import parallel_config

        from loopwright.scale import handed

        def done(content: bytes) -> Any:
            with outcome.scheduler():
                future = self._client.submit(handed.call, content, pure=False)
            return outcome.of_task(self._client, future, ATTEMPTS, "in the same part of a training")

        self._wait()
        with tempfile.TemporaryDirectory(prefix=".rows-", dir=folder) as made:
            # As the rows' own files: the workers may be another user.
            Path(made).chmod(0o755)
            self.require_seen(Path(made))
            with parallel_config(handed.Backend(done, self.count, Path(made))):
                return function()

    def facts(self) -> dict[str, Any]:
        """What the ledger keeps of them."""
        return {"engine": "dask", "workers": self.count, "lost": self.lost}

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


def _itself(function: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """Runs on a worker: what it was given is its result, which tasks take from there."""
    return function


def _called(function: Callable[[Item], Result], item: Item) -> Result:
    """Runs on a worker: a part of `map`."""
    return function(item)


def _absent(paths: list[str]) -> list[str]:
    """Runs on a worker: which files it does not see."""
    return [path for path in paths if not Path(path).exists()]
