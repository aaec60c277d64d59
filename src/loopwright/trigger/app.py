"""The trigger's HTTP: webhooks, a person's request, what is going on, the reports of alarms, and Prometheus metrics.

Bodies are read only up to the size that is accepted, and every answer that is not a metric is JSON.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from loopwright import http
from loopwright.errors import LoopwrightError, StateError
from loopwright.ledger import Entry
from loopwright.trigger import causes, hooks, reports
from loopwright.trigger.history import decisions, states
from loopwright.trigger.pending import Pending
from loopwright.trigger.records import failures, runs
from loopwright.trigger.service import Outcome, Trigger

log = logging.getLogger("loopwright.trigger")

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_RECENT = 20  # runs that /v1/state shows

# name -> (type, help). Labels: decisions {loop, action, rule}, runs {loop, state}, the gauges {loop}.
METRICS = {
    "loopwright_trigger_decisions_total": ("counter", "Decisions in the ledger, by action and the rule that decided."),
    "loopwright_trigger_runs_total": ("counter", "Ended runs in the ledger, by state."),
    "loopwright_trigger_runs_in_flight": ("gauge", "Runs in the ledger that have not ended."),
    "loopwright_trigger_alarms_pending": ("gauge", "Alarms and events that wait until a run may start."),
}

Handler = Callable[[Trigger, Request], Awaitable[Response]]


class RunRequest(BaseModel):
    """What a person sends to start a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    by: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    since: AwareDatetime | None = None


def make_app(trigger: Trigger) -> Starlette:
    """The application for one trigger; it starts the trigger with itself and stops it at the end."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        trigger.start()
        yield
        await run_in_threadpool(trigger.stop)

    def route(path: str, handler: Handler, method: str) -> Route:
        @wraps(handler)
        async def endpoint(request: Request) -> Response:
            return await handler(trigger, request)

        return Route(path, endpoint, methods=[method])

    return Starlette(
        routes=[
            route("/v1/alerts", _guarded(_alerts), "POST"),
            route("/v1/runs", _guarded(_runs), "POST"),
            route("/v1/data", _guarded(_data), "POST"),
            route("/v1/registry", _registry, "POST"),
            route("/v1/state", _guarded(_state), "GET"),
            route("/v1/reports/{alarm}", _report, "GET"),
            route("/healthz", _health, "GET"),
            route("/metrics", _metrics, "GET"),
        ],
        exception_handlers={
            HTTPException: _http_error,
            http.Refused: _refused,
            causes.BodyError: _body_error,
            StateError: _unavailable,
            Exception: _unexpected,
        },
        lifespan=lifespan,
    )


def _guarded(handler: Handler) -> Handler:
    """Only with the bearer token of the settings, if they have one, and never from a web page."""

    @wraps(handler)
    async def guarded(trigger: Trigger, request: Request) -> Response:
        http.admit(request, trigger.settings.token)
        return await handler(trigger, request)

    return guarded


async def _alerts(trigger: Trigger, request: Request) -> Response:
    received = causes.read(await _body(request), trigger.loop.name)
    outcomes = await run_in_threadpool(trigger.receive, received)
    return JSONResponse(
        {
            "causes": [_outcome(outcome) for outcome in outcomes],
            "resolved": len(received.resolved),
            "ignored": [{"alerts": ignored.alerts, "reason": ignored.reason} for ignored in received.ignored],
        }
    )


async def _runs(trigger: Trigger, request: Request) -> Response:
    try:
        asked = RunRequest.model_validate_json(await _body(request))
    except ValidationError as error:
        raise causes.invalid(error, 'a body such as {"reason": "new prices", "by": "Ada"}') from error
    if asked.since is not None and trigger.loop.data.timestamp is None:
        raise causes.BodyError("since needs to know when a row was observed", expected="`data.timestamp` in loop.yaml")
    outcome = await run_in_threadpool(trigger.request, asked.reason, asked.by, asked.since)
    if outcome.decision.action == "no":
        return JSONResponse({"error": outcome.decision.reason, **_outcome(outcome)}, 409)
    return JSONResponse(_outcome(outcome), 202)


async def _data(trigger: Trigger, request: Request) -> Response:
    """A job delivered rows."""
    received = causes.Received((hooks.delivered(await _body(request)),))
    (outcome,) = await run_in_threadpool(trigger.receive, received)
    return JSONResponse(_outcome(outcome), 202)


async def _registry(trigger: Trigger, request: Request) -> Response:
    """MLflow's webhook: signed, as it cannot send a token."""
    body = await _body(request)
    delivery = hooks.verify(request.headers, body, trigger.settings.token, trigger.now())
    cause = hooks.registered(body, delivery, trigger.loop.retrain.upstream)
    if isinstance(cause, str):
        return JSONResponse({"ignored": cause})
    (outcome,) = await run_in_threadpool(trigger.receive, causes.Received((cause,)))
    return JSONResponse(_outcome(outcome), 202)


async def _state(trigger: Trigger, _request: Request) -> Response:
    entries = await run_in_threadpool(trigger.history.read)
    known = runs(entries)
    return JSONResponse(
        {
            "loop": trigger.loop.name,
            "busy": trigger.busy() or None,
            "in_flight": [run.name for run in known if not run.ended],
            "pending": [_pending(pending) for pending in trigger.pending()],
            "failures": {"in_a_row": failures(known), "max": trigger.loop.retrain.max_failures},
            "runs": [_run(run.entry, run.ended, run.automatic) for run in reversed(known[-_RECENT:])],
        }
    )


async def _report(trigger: Trigger, request: Request) -> Response:
    """The page of an alarm, by its number, or `latest`: the newest one, of the `version` that the query names."""
    http.admit(request, trigger.settings.token, page=True)
    wanted, version = request.path_params["alarm"], request.query_params.get("version")
    entries = await run_in_threadpool(trigger.history.read)
    path = reports.find(entries, trigger.settings.state, wanted, version)
    if path is None:
        raise HTTPException(404, "there is no such report; `loopwright report --alarm` makes one")
    # What events carried stands in it, and scripts that draw it: it may do nothing in our name.
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": "sandbox allow-scripts"})


async def _health(trigger: Trigger, _request: Request) -> Response:
    if trigger.alive():
        return JSONResponse({"status": "ok"})
    return JSONResponse({"error": "the worker does not run"}, 503)


async def _metrics(trigger: Trigger, _request: Request) -> Response:
    entries = await run_in_threadpool(trigger.history.read)
    loop = trigger.loop.name
    flying = sum(1 for run in runs(entries) if not run.ended)
    samples = {
        "loopwright_trigger_decisions_total": [
            (f'loop="{loop}",action="{action}",rule="{rule}"', count)
            for (action, rule), count in sorted(decisions(entries).items())
        ],
        "loopwright_trigger_runs_total": [
            (f'loop="{loop}",state="{state}"', count) for state, count in sorted(states(entries).items())
        ],
        "loopwright_trigger_runs_in_flight": [(f'loop="{loop}"', flying)],
        "loopwright_trigger_alarms_pending": [(f'loop="{loop}"', len(trigger.pending()))],
    }
    lines = []
    for name, (kind, about) in METRICS.items():
        lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{{{labels}}} {value}" for labels, value in samples[name]]
    return PlainTextResponse("\n".join(lines) + "\n", media_type=METRICS_TYPE)


async def _body(request: Request) -> bytes:
    """The body, read no further than the size that is accepted."""
    body = await http.read(request, causes.MAX_BYTES)
    if body is None:
        raise causes.BodyError("the body is too large", expected=f"at most {causes.MAX_BYTES} bytes", status=413)
    return body


def _outcome(outcome: Outcome) -> dict[str, Any]:
    decision = outcome.decision
    return {
        "entry": outcome.entry,
        "action": decision.action,
        "rule": decision.rule,
        "reason": decision.reason,
        "until": decision.until.isoformat() if decision.until else None,
        "run": outcome.run,
    }


def _pending(pending: Pending) -> dict[str, Any]:
    return {
        "entry": pending.alarm.number,
        "since": pending.alarm.at.isoformat(),
        "summary": pending.alarm.facts["summary"],
        "rule": pending.decision.rule,
        "reason": pending.decision.reason,
        "until": pending.decision.until.isoformat() if pending.decision.until else None,
    }


def _run(entry: Entry, ended: Entry | None, automatic: bool) -> dict[str, Any]:
    end = ended.facts if ended else {}
    return {
        "run": entry.facts["run"],
        "entry": entry.number,
        "started": entry.at.isoformat(),
        "by": entry.facts.get("by"),
        "automatic": automatic,
        "state": end.get("state", "running"),
        "seconds": end.get("seconds"),
        "version": end.get("version"),
        "error": end.get("error"),
    }


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, http.Refused)
    return JSONResponse({"error": error.text}, error.status, headers=error.headers)


async def _body_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, causes.BodyError)
    return JSONResponse({"error": str(error)}, error.status)


async def _unavailable(_request: Request, error: Exception) -> Response:
    # 503 makes Alertmanager send it again; the keys in the ledger make that harmless.
    log.error("%s", error)
    return JSONResponse({"error": str(error)}, 503)


async def _unexpected(_request: Request, error: Exception) -> Response:
    what = str(error) if isinstance(error, LoopwrightError) else "an unexpected error; the trigger's log has it"
    return JSONResponse({"error": what}, 500)
