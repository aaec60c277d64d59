"""One rollout: a version comes, takes more and more of the traffic on evidence, and stays or is taken back.

The version is added with no traffic, and when it is ready it is given one step's share after another. At every look
the counts of both versions go to `analysis.judge`; what it says is done and written to the ledger. Whatever goes
wrong, the champion keeps serving: the challenger's weight goes to 0 first, then it is withdrawn, then that is written
down.

A rollout that was killed goes on where it was when it is run again with the same version: its state is saved before
each thing it does, the gateway's methods and the ledger's keys bear being repeated, and counts are differences of
cumulative ones. Until then its challenger keeps the share it had. Ctrl-C is a decision and rolls back. An error that
ends a rollout takes the challenger's traffic away, as nobody watches it then, and the state stays to be resumed.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from loopwright.errors import RolloutError
from loopwright.ledger import Ledger
from loopwright.loop import Loop
from loopwright.rollout import resume
from loopwright.rollout.counts import UNKNOWN
from loopwright.rollout.course import Course
from loopwright.rollout.evidence import plan
from loopwright.rollout.gateway import Gateway
from loopwright.rollout.journal import Journal, Look, Outcome
from loopwright.rollout.resume import Saved
from loopwright.settings import Settings

__all__ = ["FILE", "Look", "Outcome", "run"]

FILE = "rollout.json"
"""Where the state of a rollout is kept, in settings.live."""


def run(
    gateway: Gateway,
    loop: Loop,
    version: int,
    bundle: str,
    digest: str,
    ledger: Ledger,
    settings: Settings,
    registry_promote: Callable[[int], None],
    cause: int | None = None,
    progress: Callable[[Look], None] = lambda look: None,
    state_path: Path | None = None,
    *,
    now: Callable[[], float] = time.time,
    pause: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Take a version live, or go on with doing so; return when it is the champion or was taken back.

    `registry_promote` is called with the version when the gateway has made it the champion; `cause` is the ledger
    entry that the rollout follows from. A rollout of another version that was left unfinished is ended first: taken
    back, or promoted where that was decided. Raises RolloutError when another process rolls out, or when the version
    serves already; GatewayLost (a RolloutError) when the data plane is not there.
    """
    path = state_path or settings.live / FILE

    def real_time() -> datetime:
        # The ledger is on the wall clock, however fast the loop's runs.
        return datetime.fromtimestamp(now(), UTC)

    def begin() -> Saved:
        champion = gateway.champion()
        if champion == version:
            raise RolloutError(f"version {version} of {loop.name} takes all the traffic already")
        steps = _steps(champion, loop)
        facts = {"version": version, "champion": champion, "strategy": loop.rollout.strategy, "steps": steps}
        entry = ledger.append(loop.name, "rollout", facts, cause=cause, at=real_time()).number
        before = UNKNOWN if champion is None else gateway.counts().get(champion, UNKNOWN)
        saved = Saved(version, bundle, digest, champion, steps, entry, entry, now(), before=before)
        resume.save(path, saved)
        return saved

    def rollout(saved: Saved) -> Course:
        journal = Journal(path, loop.name, ledger, progress, real_time, saved)
        return Course(gateway, loop, settings, registry_promote, journal, now, pause)

    with resume.alone(path.with_suffix(".lock"), version):
        saved = resume.load(path)
        if saved is not None and not saved.same(version, digest, _steps(saved.champion, loop)):
            rollout(saved).abandon(version)
            saved = None
        if saved is None:
            return rollout(begin()).run()
        going_on = rollout(saved)
        going_on.check()
        return going_on.run()


def _steps(champion: int | None, loop: Loop) -> tuple[int, ...]:
    """The plan; a first version has nothing to be compared with, and takes all the traffic at once."""
    return () if champion is None else plan(loop.rollout)
