"""The trigger's process: `python -m loopwright.cli.trigger_service LOOP --port P`.

Here the parts meet that do not know each other: the trigger decides, the engine runs, the rollout goes live.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from loopwright import http
from loopwright.cli import engines, features, open_runs, versioned
from loopwright.cli.context import Context
from loopwright.engines import protocol
from loopwright.errors import EngineAway, LoopwrightError, RolledBack, ServingError
from loopwright.ledger import Entry
from loopwright.trigger.execute import RunResult
from loopwright.trigger.records import INTERRUPTED
from loopwright.trigger.reports import Reporter
from loopwright.trigger.service import Trigger

log = logging.getLogger("loopwright.trigger")


def build(context: Context) -> Trigger:
    """The trigger of a loop, with the engine and the gateway that its settings name."""
    from loopwright.cli.run import request
    from loopwright.engines.local import RESULT

    engine = engines.opened(context.settings)
    opened = {context.settings.engine: engine}

    def result(status: protocol.RunStatus) -> RunResult:
        if status.state not in protocol.ENDED:
            return RunResult("running")
        match open_runs.outcome(status):
            case "succeeded" | "rejected" | "cancelled" as state:
                return RunResult(state, status.version, status.error)
        return RunResult("failed", error=status.error)

    def was_killed(status: protocol.RunStatus) -> bool:
        failed = any(step.state == protocol.FAILED for step in status.steps)
        return (
            status.state == protocol.FAILED
            and not failed
            and not (context.settings.runs / status.run / RESULT).exists()
        )

    def run(cause: int, run: str) -> RunResult:
        try:
            engine.submit(request(context, features.read(context), run, cause))
            versioned.record_code(context, cause)
            return result(engine.follow(run, lambda _status: None))
        except EngineAway as error:
            # The run may go on, so it is asked after as one that another process left open.
            log.warning("the run %s is left to itself for now: %s", run, error)
            return RunResult("running")

    def ask(intent: Entry) -> RunResult | None:
        status = open_runs.status(context, intent, opened)
        if status is None:
            return None
        # Nobody followed it when it ended: it went down with its command or with the machine.
        local = intent.facts.get("engine", "local") == "local"
        return RunResult("failed", error=INTERRUPTED) if local and was_killed(status) else result(status)

    def roll_out(version: int, *, cause: int) -> None:
        from loopwright.cli.going_live import submitted, take_live

        try:
            if context.settings.workflows:
                submitted(context, version, log.info)
            else:
                take_live(context, version, cause)
        except RolledBack as error:
            log.warning("%s", error)
        except KeyboardInterrupt:
            # A person ended it with Ctrl-C in another process, which died before the version was taken back.
            log.warning("version %d was taken back, as a person had stopped its rollout", version)

    reporter = Reporter(
        lambda alarm: [
            *(sys.executable, "-m", "loopwright.cli.alarm_report"),
            *(str(context.folder), str(alarm), str(os.getpid())),
        ],
        {**os.environ, **context.settings.environment()},
    )
    return Trigger(
        context.loop,
        context.ledger,
        context.settings,
        run=run,
        rollout=roll_out,
        new_rows=lambda: new_rows(context),
        ask=ask,
        where={"engine": context.settings.engine, "place": engine.place},
        poll_seconds=0.5,
        report=reporter.offer,
    )


def new_rows(context: Context) -> int:
    """How many labelled rows the source has that the last snapshot did not: by time, or else by number."""
    from loopwright.data import snapshots, sources, typed

    taken = context.ledger.entries(context.loop.name, kind="snapshot")
    data = context.loop.data
    timestamp, label = data.timestamp, data.label.column
    frame = sources.read(data.source, context.folder, [label] if timestamp is None else [timestamp, label])
    frame = snapshots.usable(frame[~typed.blank(frame[label])], context.loop, context.settings.clock.now())
    if not taken:
        return len(frame)
    last = taken[-1].facts
    if timestamp is None or last["newest"] is None:
        return max(0, len(frame) - int(last["rows"]))
    return int((snapshots.times(frame, timestamp) > last["newest"]).sum())


def main() -> int:
    """Serve the trigger until SIGTERM."""
    import uvicorn

    from loopwright.trigger.app import make_app

    parser = argparse.ArgumentParser(prog="python -m loopwright.cli.trigger_service")
    parser.add_argument("loop", type=Path, help="the loop's folder")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--without-token",
        action="store_true",
        help="take alarms and requests for runs from anybody, on an address that other machines reach, "
        "when LOOPWRIGHT_TOKEN is not set",
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        context = Context.of(str(options.loop))
        http.require_token(options.host, context.settings.token, without=options.without_token)
        config = uvicorn.Config(
            make_app(build(context)), host=options.host, port=options.port, log_level="warning", access_log=False
        )
        server = uvicorn.Server(config)
        server.run()
        if not server.started:
            raise ServingError(f"the trigger cannot listen on {options.host}:{options.port}", do="choose another port")
    except LoopwrightError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
