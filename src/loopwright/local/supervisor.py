"""`loopwright up`: keeps Envoy, the predictors, the monitor, the trigger and MLflow as serving.json wants them.

Twenty times a second the loop looks whether serving.json changed, starts what is missing or ended, takes Envoy the
next step towards the wanted route, and writes status.json when something changed. It holds no state that matters: a
rollout goes on where its files say it was, whoever was killed.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx

from loopwright import files
from loopwright.errors import LoopwrightError
from loopwright.local import commands, lock, ports, token
from loopwright.local.dataplane import DataPlane
from loopwright.local.options import Options, choose_places
from loopwright.local.predictors import Predictors, Replica, route
from loopwright.local.processes import Child, Guard
from loopwright.local.services import Service
from loopwright.local.state import Sample, Series, StatusFile, Watch
from loopwright.loop import Loop
from loopwright.rollout import envoy
from loopwright.rollout.state import SERVING, Serving, Status, read_serving, write_serving
from loopwright.settings import Settings

TICK = 0.05
"""Seconds between two looks."""
SAMPLE = 1.0
"""Seconds between two lines of series.jsonl."""

T = TypeVar("T")


class Supervisor:
    """One `loopwright up`."""

    def __init__(self, loop: Loop, folder: Path, settings: Settings, options: Options) -> None:
        self._loop, self._folder, self._options = loop, folder.resolve(), options
        self._settings = settings
        self._live = settings.live
        self._guard = Guard()
        self._problems: dict[str, str] = {}
        self._serving = Serving()
        self._on_event, self._on_ready = _guarded(options.on_event), _guarded(options.on_ready)

    def run(self) -> None:
        """Keep it up until SIGINT, SIGTERM or SIGHUP, from the main thread; then end everything and return.

        Raises StateError when the loop is up already, ServingError for a port in use or when there is no Envoy.
        """
        assert threading.current_thread() is threading.main_thread(), "children live as long as the thread"
        with lock.held(self._live, self._loop.name):
            self._places = choose_places(self._options, self._settings)
            commands.find_envoy()
            self._settings = token.issue(self._settings)
            try:
                if read_serving(self._live) == Serving() and self._options.initial is not None:
                    write_serving(self._live, Serving(stable=self._options.initial))
                asyncio.run(self._main())
            finally:
                self._guard.close()
                token.discard(self._settings)

    async def _main(self) -> None:
        self._stop, self._announced, self._started = asyncio.Event(), False, time.time()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled, number)
        # Straight to the loopback interface, whatever proxy the environment names.
        async with httpx.AsyncClient(trust_env=False) as client:
            self._build(client)
            sampler = asyncio.create_task(self._repeat(SAMPLE, self._sample))
            try:
                await self._repeat(TICK, self._reconcile)
            finally:
                sampler.cancel()
                await self._end()

    def _build(self, client: httpx.AsyncClient) -> None:
        """Write what the processes read at their start, and make their services; the first tick starts them."""
        limit = self._loop.rollout.analysis.latency_p99
        slow_ms = None if limit is None else limit.max.total_seconds() * 1000
        places, calls = self._places, self._options.commands
        declaration, folder = self._live / "loop.json", self._live / "envoy"
        files.write_text(declaration, self._loop.to_json())
        self._client = client
        self._status, self._series = StatusFile(self._live), Series(self._live)
        self._watch = Watch(self._live / SERVING)
        self._plane = DataPlane(folder, places.urls["envoy_admin"], client)
        start = self._plane.prepare(
            envoy.bootstrap(
                folder,
                host=places.host,
                port=places.ports["gateway"],
                admin_port=places.ports["envoy_admin"],
                slow_ms=slow_ms,
            )
        )
        alerts, port = f"{places.urls['trigger']}/v1/alerts", places.ports
        self._services = {
            "envoy": self._service("envoy", lambda: calls.envoy(start), f"{places.urls['envoy_admin']}/ready"),
            "trigger": self._service("trigger", lambda: calls.trigger(self._folder, port["trigger"])),
            "monitor": self._service("monitor", lambda: calls.monitor(declaration, port["monitor"], alerts)),
        }
        if "mlflow" in port:
            self._services["mlflow"] = self._service(
                "mlflow", lambda: calls.mlflow(self._settings, port["mlflow"]), f"{places.urls['mlflow']}/health"
            )
        self._predictors = Predictors(self._predictor, self._options.grace)

    def _service(self, name: str, command: Callable[[], Any], ready_url: str = "") -> Service:
        url = ready_url or f"{self._places.urls[name]}/healthz"
        return self._make(name, command, lambda: url)

    def _predictor(self, replica: Replica) -> Service:
        loop, make = self._loop.name, self._options.commands.predictor
        return self._make(
            f"predictor {replica.placement.version}",
            lambda: make(loop, replica.placement, *replica.choose_ports(), self._places.urls["monitor"]),
            lambda: f"http://{ports.LOOPBACK}:{replica.http}/v2/models/{loop}/ready",
        )

    def _make(self, name: str, command: Callable[[], Any], ready_url: Callable[[], str]) -> Service:
        return Service(
            Child(name, self._live / "logs" / f"{name.replace(' ', '-')}.log", self._guard),
            self._client,
            command=command,
            environment={
                **os.environ,
                **self._settings.environment(),
                **(commands.mlflow_environment(self._settings) if name == "mlflow" else {}),
                "PYTHONUNBUFFERED": "1",
            },
            ready_url=ready_url,
            on_event=self._on_event,
        )

    async def _repeat(self, interval: float, act: Callable[[], Awaitable[None]]) -> None:
        """Act again and again until the end; what cannot be done now is reported, and tried again."""
        while not self._stop.is_set():
            try:
                await act()
                self._report(act.__name__, "")
            except (LoopwrightError, OSError) as error:
                self._report(act.__name__, str(error))
            except Exception as error:
                # What serves goes on serving, whatever this process got wrong.
                self._report(act.__name__, f"{act.__name__.strip('_')}: {type(error).__name__}: {error}")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), interval)

    def _report(self, what: str, problem: str) -> None:
        if problem and self._problems.get(what) != problem:
            self._on_event(problem)
        self._problems[what] = problem

    async def _reconcile(self) -> None:
        for service in self._services.values():
            service.tick()
        if self._watch.changed():
            self._read_serving()
        self._predictors.tick(self._serving)
        target = route(self._loop.name, self._serving, self._predictors.entered())
        before, leaving = self._plane.weights, self._predictors.leaving
        routes = target.content(self._loop.name, self._serving)
        await self._plane.converge(self._predictors.upstreams(), target.weights, routes, closely=leaving)
        if self._plane.answering:
            self._predictors.leave(self._plane.weights, self._plane.loaded)
        if self._plane.weights != before:
            shares = [f"version {version} {weight} %" for version, weight in sorted(self._plane.weights.items())]
            self._on_event(f"traffic: {', '.join(shares) or 'none'}")
        self._write_status()

    def _read_serving(self) -> None:
        """Take over what is wanted; a file that cannot be read is reported, and what was wanted before stays."""
        try:
            self._serving = read_serving(self._live)
            self._report("serving", "")
        except LoopwrightError as error:
            self._report("serving", str(error))

    def _write_status(self) -> None:
        running = [*self._services.values(), *self._predictors.services()]
        problems = self._problems | {service.name: service.problem for service in running}
        status = Status(
            pid=os.getpid(),
            started=self._started,
            endpoints=self._places.urls,
            predictors=self._predictors.observed(),
            weights=self._plane.weights,
            mirrored=self._plane.route.mirrored,
            split=self._plane.route.split,
            problems={name: problem for name, problem in problems.items() if problem},
        )
        self._status.write(status, {name: service.observed() for name, service in self._services.items()})
        complete = self._predictors.ready() and self._plane.settled
        # MLflow's interface takes long to start, and nothing waits for it.
        needed = [service for name, service in self._services.items() if name != "mlflow"]
        if complete and not self._announced and all(one.state == "ready" for one in needed):
            self._announced = True
            self._on_ready(status)

    async def _sample(self) -> None:
        """Add one line to series.jsonl."""
        traffic, drift = await asyncio.gather(self._plane.traffic(), self._drift())
        self._series.append(Sample.of(time.time(), traffic, self._plane.weights, drift))

    async def _drift(self) -> Any:
        try:
            answer = await self._client.get(f"{self._places.urls['monitor']}/v1/drift", timeout=SAMPLE)
            return answer.json() if answer.status_code == httpx.codes.OK else None
        except (httpx.HTTPError, ValueError):
            return None

    def _signalled(self, number: signal.Signals) -> None:
        """Begin the end; at the second signal, do not wait for anybody."""
        again = self._stop.is_set()
        self._stop.set()
        if not again:
            self._on_event("stopping")
        elif number != signal.SIGHUP:  # A terminal that closes sends it more than once: the kernel and the shell do.
            for service in (*self._services.values(), *self._predictors.services()):
                service.kill()

    async def _end(self) -> None:
        """End all processes: first what lets work in, then the predictors, last whom they send their events to."""
        first = {"envoy", "trigger"}
        stages = (
            [service for name, service in self._services.items() if name in first],
            self._predictors.services(),
            [service for name, service in self._services.items() if name not in first],
        )
        for stage in stages:
            await asyncio.gather(*(service.stop(self._options.grace) for service in stage))
        self._status.remove()
        self._on_event("stopped")


def _guarded(say: Callable[[T], None]) -> Callable[[T], None]:
    """The same without what writing raises when the terminal or the pipe is closed: nobody reads it any more."""

    def guarded(what: T) -> None:
        # ValueError is a closed file's; rich ends the process at a broken pipe.
        with suppress(OSError, ValueError, SystemExit):
            say(what)

    return guarded
