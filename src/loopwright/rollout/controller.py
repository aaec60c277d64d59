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
from dataclasses import replace
from datetime import UTC, datetime

from loopwright.errors import RolloutError
from loopwright.ledger import Ledger
from loopwright.loop import Loop
from loopwright.rollout.counts import UNKNOWN
from loopwright.rollout.course import Course
from loopwright.rollout.evidence import plan
from loopwright.rollout.hands import Hands
from loopwright.rollout.journal import Journal, Look, Outcome
from loopwright.rollout.queries import Ask
from loopwright.rollout.resume import Paused, Saved
from loopwright.rollout.stage import Stage
from loopwright.rollout.target import Target
from loopwright.settings import Settings

__all__ = ["Look", "Outcome", "run"]


def run(
    target: Target,
    loop: Loop,
    version: int,
    bundle: str,
    digest: str,
    ledger: Ledger,
    settings: Settings,
    registry_promote: Callable[[int], None],
    cause: int | None = None,
    progress: Callable[[Look], None] = lambda look: None,
    *,
    paused: Paused | None = None,
    going_on: bool = False,
    ask: Ask | None = None,
    now: Callable[[], float] = time.time,
    pause: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Take a version live, or go on with doing so; return when it is the champion or was taken back.

    `registry_promote` is called with the version when the gateway has made it the champion, and with the former one
    when that comes back; `cause` is the ledger entry that the rollout follows from; `ask` answers declared queries. A
    new rollout that is `paused` gives no traffic until a person resumes it. A rollout of another version that was left
    unfinished is ended first: taken back, or promoted where that was decided. With `going_on` nothing begins: only what
    is under way is gone on with, by the plan that it began with, for a person's command to it.

    Raises Held when another process rolls out, RolloutError when the version serves already, GatewayLost (a
    RolloutError) when the data plane is not there.
    """
    gateway, states = target.gateway, target.states

    def real_time() -> datetime:
        # The ledger is on the wall clock, however fast the loop's runs.
        return datetime.fromtimestamp(now(), UTC)

    def begin() -> Saved:
        champion = gateway.champion()
        if champion == version:
            raise RolloutError(f"version {version} of {loop.name} takes all the traffic already")
        # What was told an earlier rollout is not for this one.
        states.clear_command()
        steps, strategy = _steps(champion, loop), loop.rollout.strategy
        facts = {"version": version, "champion": champion, "strategy": strategy, "steps": steps}
        entry = ledger.append(loop.name, "rollout", facts, cause=cause, at=real_time()).number
        before = UNKNOWN if champion is None else gateway.counts().get(champion, UNKNOWN)
        saved = Saved(
            version, bundle, digest, champion, steps, entry, entry, now(), strategy, before=before, paused=paused
        )
        states.save(saved)
        return saved

    def rollout(saved: Saved) -> Course:
        journal = Journal(states, loop.name, ledger, progress, real_time, saved)
        hands = Hands(gateway, states, journal, now)
        stage = Stage(gateway, loop, settings.clock, journal, hands, ask, now, pause)
        return Course(gateway, loop, registry_promote, journal, hands, stage, now, pause)

    def planned(saved: Saved) -> bool:
        return saved.same(version, digest, loop.rollout.strategy, _steps(saved.champion, loop))

    with states.alone(version):
        saved = states.load()
        if saved is None and going_on:
            raise RolloutError(f"the rollout of version {version} of {loop.name} is over")
        if saved is not None and not going_on and not planned(saved):
            rollout(saved).abandon(version)
            saved = None
        if saved is None:
            return rollout(begin()).run()
        if not going_on:
            # Where the process that began it had the bundle, a pod of a Workflow that was made again has nothing.
            saved = replace(saved, bundle=bundle)
        course = rollout(saved)
        course.check()
        return course.run()


def _steps(champion: int | None, loop: Loop) -> tuple[int, ...]:
    """The plan; a first version has nothing to be compared with, and takes all the traffic at once."""
    return () if champion is None else plan(loop.rollout)
