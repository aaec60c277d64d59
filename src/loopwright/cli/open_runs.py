"""The runs that the ledger has open, asked after where each is: on the engine and at the place that its entry names.

Machines and namespaces that share a ledger see each other's runs there, and each knows only its own: one that this
place's engine does not know may go on in another place.
"""

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loopwright.cli import engines
from loopwright.cli.context import Context
from loopwright.errors import EngineAway, LoopwrightError, RunError

if TYPE_CHECKING:
    from loopwright.engines.protocol import Engine, RunStatus
    from loopwright.ledger import Entry
    from loopwright.trigger.records import Run


def status(context: Context, intent: "Entry", opened: "dict[str, Engine]") -> "RunStatus | None":
    """What its engine says of the run of a `run` entry; None where it is of this place, and is not known here.

    `opened` has the engines by name that are open already, and gets the one that was opened for it. Raises EngineAway
    for a run of another place, and RunError where its engine cannot be asked.
    """
    from loopwright.engines.protocol import ENDED

    name, kind = str(intent.facts["run"]), str(intent.facts.get("engine", "local"))
    if kind not in opened:
        opened[kind] = engines.opened(context.settings, kind)
    engine = opened[kind]
    found = next((one for one in engine.runs(context.loop.name) if one.run == name), None)
    if found is None:
        # Runs that were begun before places were written down are taken to be of this one.
        place = str(intent.facts.get("place", engine.place))
        if place != engine.place:
            raise EngineAway(
                f"the run {name} is on the {kind} engine at {place}, and cannot be asked after at {engine.place}",
                do="ask there",
            )
        return None
    # A list says how runs ended, and not why.
    return engine.status(name) if kind != "local" and found.state in ENDED else found


def settle(context: Context, engine: "Engine", abandon: str = "") -> None:
    """Write the end of runs whose command was killed before it could: an open run stands in the way of every alarm.

    Raises RunError where a run of the loop is, or may be, under way. The run `abandon` is closed if it cannot be asked
    after; of any such run that is done once it could no longer go on.
    """
    from loopwright.engines.protocol import ENDED
    from loopwright.trigger.execute import LOST_SECONDS, UNKNOWN_SECONDS
    from loopwright.trigger.records import INTERRUPTED, LOST, runs

    opened = {context.settings.engine: engine}
    open_ = [run for run in runs(context.ledger.entries(context.loop.name)) if not run.ended]
    if abandon and abandon not in [run.name for run in open_]:
        raise RunError(f"there is no open run {abandon}", do="`loopwright history` names them")
    for run in open_:
        age = (datetime.now(UTC) - run.entry.at).total_seconds()
        try:
            found = status(context, run.entry, opened)
        except LoopwrightError as error:
            if run.name == abandon or age >= LOST_SECONDS:
                end(context, run.entry, {"state": "failed", "seconds": round(age, 3), "version": None, "error": LOST})
                continue
            raise RunError(
                f"the run {run.name} of {context.loop.name} may be under way: {error.found}",
                expected="one run of a loop at a time",
                do=f"wait until it has ended; if nobody has it any more, give `--abandon {run.name}`",
            ) from error
        if found is not None and found.state not in ENDED:
            raise busy(context, run.name)
        # Whoever has just claimed it may not have submitted it yet.
        if found is None and age < UNKNOWN_SECONDS and run.entry.facts.get("engine", "local") != "local":
            continue
        facts = {"state": "failed", "seconds": 0.0, "version": None, "error": INTERRUPTED}
        if found is not None:
            facts = {"state": outcome(found), "seconds": round(found.seconds, 3), "version": found.version}
            # Only a local run goes down with its command.
            gone = run.entry.facts.get("engine", "local") == "local" and found.error is not None
            facts["error"] = INTERRUPTED if gone else found.error
        end(context, run.entry, facts)


def busy(context: Context, run: str) -> RunError:
    """One run of a loop at a time."""
    return refused(f"the run {run} of {context.loop.name} is under way")


def refused(why: str) -> RunError:
    """The error of whoever wants to begin a run while there is another."""
    return RunError(
        why,
        expected="one run of a loop at a time",
        do="wait until it has ended; `loopwright status` says how it is",
    )


def end(context: Context, entry: "Entry", facts: dict[str, object]) -> None:
    """Write the end of a run: once, by whoever is first, as a trigger closes one whose command seems gone."""
    from loopwright.ledger import DuplicateEntry

    name = context.loop.name
    with suppress(DuplicateEntry):
        key = f"{name}/run_ended/{entry.number}"
        written = {"run": entry.facts["run"], **facts}
        context.ledger.append(name, "run_ended", written, cause=entry.number, key=key)


def outcome(found: "RunStatus") -> str:
    """An ended run's state in the ledger: a run whose model did not pass its gates went through, and is `rejected`."""
    return "rejected" if found.state == "succeeded" and found.version is None else found.state


def newest(context: Context, known: "list[Run]") -> dict[str, object] | None:
    """The newest run as a program reads it, on whichever engine it is; one that cannot be asked after is `unknown`."""
    if not known:
        return None
    run = known[-1]
    facts: dict[str, object] = {"run": run.name, "engine": run.entry.facts.get("engine", "local")}
    if run.ended:
        return facts | {name: run.ended.facts.get(name) for name in ("state", "seconds", "version", "error")}
    facts |= {"state": "unknown", "seconds": (datetime.now(UTC) - run.entry.at).total_seconds(), "version": None}
    try:
        found = status(context, run.entry, {})
    except LoopwrightError as error:
        return facts | {"error": error.found}
    if found is None:
        return facts | {"error": "its engine does not know it: it begins, or was interrupted"}
    return facts | {"state": found.state, "seconds": found.seconds, "version": found.version, "error": found.error}
