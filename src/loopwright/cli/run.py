"""run: the pipeline once, in the foreground, with progress, and the gates and the version at the end."""

import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from loopwright.cli import engines, features, open_runs, push, turns, versioned
from loopwright.cli.context import Context, on_loop, user
from loopwright.cli.open_runs import end, outcome
from loopwright.errors import DataError, EngineAway, GateError, LoopwrightError, RunError
from loopwright.settings import ENGINES

if TYPE_CHECKING:
    from loopwright.engines.protocol import Engine, RunRequest, RunStatus, StepStatus

Progress = Callable[["RunStatus"], None]


@click.command(epilog="Example: loopwright run churn --reason 'new features'")
@click.option("--reason", default="asked for on the command line", show_default=True, help="Why; written as the cause.")
@click.option("--engine", type=click.Choice(ENGINES), help="Where it runs; by default LOOPWRIGHT_ENGINE, else here.")
@click.option("--abandon", metavar="RUN", default="", help="Close an open run that cannot be asked after, as lost.")
@on_loop
def run(context: Context, reason: str, engine: str | None, abandon: str) -> int:
    """Run the pipeline once: snapshot, validate, split, train, evaluate, register.

    Exit codes: 0 registered, 2 the declaration or the feature code is wrong, 3 the data cannot be used, 4 a gate was
    not passed, 6 the run failed, 7 the state folder cannot be used. With --engine argo or kfp it runs in pods of a
    cluster (docs/argo.md, docs/kfp.md), and goes on there should this command be killed; Ctrl-C cancels it.
    """
    from loopwright import settings
    from loopwright.engines.protocol import ENDED

    settings.prepare(context.settings)
    code = features.read(context)
    context = replace(context, settings=replace(context.settings, engine=engine or context.settings.engine))
    runs_on = engines.opened(context.settings)
    if busy := [status.run for status in runs_on.runs(context.loop.name) if status.state not in ENDED]:
        raise open_runs.busy(context, busy[-1])
    open_runs.settle(context, runs_on, abandon)
    with _Live(context) as live:
        status = _start(context, runs_on, code, reason, live.show)
    if status.state == "cancelled" or status.error is not None:
        push.ended(context, status, outcome(status), {})
        raise click.exceptions.Abort if status.state == "cancelled" else _failure(status)
    judged = judgement(context, status.run)
    push.ended(context, status, outcome(status), judged["metrics"])
    failed = [gate for gate in judged["gates"] if not gate["passed"]]
    refusal = GateError(
        "no version was registered: " + "; ".join(f"{one['gate']} {one['metric']}: {one['detail']}" for one in failed),
        do="improve the model, or change the gates",
    )
    error = {} if status.version is not None else {"error": str(refusal), "exit_code": refusal.exit_code}
    context.answer({"run": status.run, "version": status.version, "seconds": status.seconds, **judged, **error})
    _show(context, status, judged)
    if status.version is None:
        if context.json:
            return refusal.exit_code
        raise refusal
    return 0


def _start(context: Context, engine: "Engine", code: str, reason: str, progress: Progress) -> "RunStatus":
    """Run the pipeline because a person asked, and write what came of it; Ctrl-C cancels the run."""

    ledger, name = context.ledger, context.loop.name
    asked = ledger.append(name, "request", {"reason": reason, "by": user()})
    run = f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    where = {"engine": context.settings.engine, "place": engine.place}
    facts: dict[str, Any] = {"run": run, **where, "by": user()}
    entry = ledger.append(name, "run", facts, cause=asked.number)
    turns.take(context, entry)
    # Whatever ends this command ends the run with it, in order.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        try:
            engine.submit(request(context, code, run, entry.number))
        except LoopwrightError as error:
            if not isinstance(error, EngineAway):
                end(context, entry, {"state": "failed", "seconds": 0.0, "version": None, "error": str(error)})
            raise
        try:
            turns.keep(context, entry)
        except RunError:
            engine.cancel(run)
            raise
        versioned.record_code(context, entry.number)
        status = engine.follow(run, progress)
    except KeyboardInterrupt:
        status = engine.cancel(run)
    seconds = round(status.seconds, 3)
    facts = {"state": outcome(status), "seconds": seconds, "version": status.version, "error": status.error}
    end(context, entry, facts)
    return status


def request(context: Context, code: str, run: str, cause: int) -> "RunRequest":
    """What the engine is asked for."""
    from loopwright.engines.protocol import RunRequest

    return RunRequest(context.loop.to_json(), context.loop.name, context.folder, code, run, cause)


def judgement(context: Context, run: str) -> dict[str, Any]:
    """The `judged` entry of a run: metrics, gates and the champion's metrics."""
    entries = context.ledger.entries(context.loop.name, kind="judged")
    found = next((entry for entry in reversed(entries) if entry.facts["run"] == run), None)
    if found is None:
        raise RunError(
            f"the run {run} has no judgement in the ledger", do=f"see its log in {context.settings.runs / run}"
        )
    return {name: found.facts[name] for name in ("passed", "metrics", "gates", "champion")}


def _failure(status: "RunStatus") -> LoopwrightError:
    """A failed run as the error that a step raised, with its exit code; other failures name the log."""
    kind = next((kind for kind in _errors(LoopwrightError) if kind.exit_code == status.exit_code), RunError)
    # Errors that the user can mend speak for themselves; for any other one the log is what helps.
    own = issubclass(kind, DataError) or kind.exit_code in (2, 4, 7, 8)
    error = kind(status.error or "the run failed", do="" if own else f"see the log in {status.log}")
    return error


def _errors(root: type[LoopwrightError]) -> list[type[LoopwrightError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _errors(child))]


def _show(context: Context, status: "RunStatus", judged: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("metric", "challenger", *(["champion"] if judged["champion"] else [])):
        table.add_column(column, justify="left" if column == "metric" else "right")
    # The ledger keeps its facts by name; people read the metrics in the order of the declaration's documents.
    for name in context.loop.judged_by:
        if name in judged["metrics"]:
            other = judged["champion"]["metrics"].get(name) if judged["champion"] else None
            before = [] if other is None else [f"{other:.4f}"]
            table.add_row(name, f"{judged['metrics'][name]:.4f}", *before)
    context.console.print(table)
    for gate in judged["gates"]:
        unknown = gate.get("state") == "cannot_tell"
        mark = "[green]passed[/]" if gate["passed"] else f"[red]{'cannot tell' if unknown else 'failed'}[/]"
        words = escape(f"{gate['gate']} {gate['metric']}: {gate['detail']}")
        context.console.print(f"gate {mark} {words}")
    if status.version is not None:
        approve = f"`loopwright approve {context.shown} {status.version} --reason ...`"
        live = f"`loopwright up {context.shown}` or `loopwright rollout {context.shown}`"
        context.console.print(
            f"[bold green]registered[/] {context.loop.name} version {status.version} in {status.seconds:.0f} s; "
            f"next: {live if context.loop.gates.approval == 'auto' else approve}"
        )


WIDTH = 20
"""Characters of the bar of a search."""


class _Live:
    """The steps as they go: live in a terminal, a line each where there is none."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._told: set[tuple[str, str]] = set()
        self._display: Any = None

    def __enter__(self) -> "_Live":
        if self._context.console.is_terminal and not self._context.json:
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = (
                *(SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), TimeElapsedColumn()),
                TextColumn("{task.fields[parts]}"),
            )
            self._display = Progress(*columns, console=self._context.console)
            self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None:
            self._display.stop()

    def show(self, status: "RunStatus") -> None:
        """Tell what has changed since the last time."""
        for step in status.steps:
            if step.state not in ("pending", "running"):
                # What it told before it ended comes before its end.
                self._parts(step)
            if step.state != "pending" and (step.name, step.state) not in self._told:
                self._told.add((step.name, step.state))
                self._changed(step)
            self._parts(step)

    def _changed(self, step: "StepStatus") -> None:
        if self._display is None:
            took = f" in {step.seconds:.1f} s" if step.state != "running" else ""
            self._context.console.print(f"{step.name} {step.state}{took}")
        elif step.state == "running":
            self._display.add_task(step.name, total=1, parts="")
        else:
            colour = "" if step.state == "succeeded" else "[red]"
            self._display.update(self._task(step), completed=1, parts="", description=colour + step.name)

    def _parts(self, step: "StepStatus") -> None:
        """How far a step is that tells, as the trials of a search: a bar, or a line for each."""
        if self._display is None:
            for note in step.notes:
                if (step.name, note) not in self._told:
                    self._told.add((step.name, note))
                    self._context.console.print(f"  {note}")
        elif step.state == "running" and step.notes:
            done = round(WIDTH * min(step.done / step.of, 1.0))
            bar = f"[cyan]{'━' * done}[/][dim]{'━' * (WIDTH - done)}[/] {step.notes[-1]}"
            self._display.update(self._task(step), parts=bar)

    def _task(self, step: "StepStatus") -> Any:
        return next(task.id for task in self._display.tasks if task.description == step.name)
