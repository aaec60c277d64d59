"""KServe's ModelServer as this project runs it: bound to one address, quiet, bounded, and drained without loss.

KServe's routes, data plane and gRPC servicer are used as they are. What is replaced: the addresses (KServe binds
every interface), the log lines a request, the answers to errors, and the order in which it stops.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from typing import Any

import uvicorn
from kserve import ModelServer
from kserve.errors import InvalidInput
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from loopwright.serving import rest, rpc, tracing
from loopwright.serving.addresses import no_port
from loopwright.serving.events import Events
from loopwright.serving.fast import Fast
from loopwright.serving.front import App, Front
from loopwright.serving.metrics import Metrics
from loopwright.serving.predictor import Predictor
from loopwright.serving.scorer import Scorer

log = logging.getLogger(__name__)

# After SIGTERM the process answers for this long as before, but says that it is not ready and closes each connection
# with its answer: requests that were on their way when the signal came are served.
LINGER_SECONDS = 0.5
HOLD_SECONDS = 0.05
GRACE_SECONDS = 30
EVENTS_SECONDS = 2.0


class PredictorServer(ModelServer):  # type: ignore[misc]
    """Serves one predictor over HTTP and gRPC until it is told to stop."""

    def __init__(
        self,
        predictor: Predictor,
        version: str,
        scorer: Scorer,
        metrics: Metrics,
        events: Events | None,
        *,
        host: str,
        grpc_port: int,
    ) -> None:
        super().__init__(grpc_port=grpc_port, workers=1, enable_latency_logging=False, grace_period=GRACE_SECONDS)
        self._predictor, self._version, self._metrics, self._events = predictor, version, metrics, events
        self._host, self._quicken = host, scorer.model.quicken
        metrics.engine = lambda: scorer.model.engine
        self._fast, self._seconds = Fast(scorer, predictor.name, version), scorer.limits.seconds
        self.dataplane = self._plane = _DataPlane(self.registered_models)
        self._plane.version = version
        self.model_repository_extension = _FixedRepository(self.registered_models)
        self._register_and_check_atleast_one_model_is_ready([predictor])

    async def serve(self, http: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises ServingError when gRPC's port is in use."""
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, stopping)
        sender = asyncio.create_task(self._events.run()) if self._events is not None else None
        if sender is not None:
            sender.add_done_callback(_report_end)
        name = self._predictor.name
        spans = tracing.provider()
        repository = self.model_repository_extension
        around = [tracing.Interceptor(spans, self._version)] if spans is not None else []
        answering = asyncio.Event()
        answering.set()
        grpc = rpc.server(self.dataplane, repository, self._metrics, self._fast, name, answering, around)
        grpc_port = self._bind(grpc)
        app = rest.application(self.dataplane, repository)
        front = Front(app, name, self._version, self._metrics, self._fast, seconds=self._seconds)
        sweeper = asyncio.create_task(front.sweep())
        server = _uvicorn(front if spans is None else tracing.traced(front, spans, self._version))
        await grpc.start()
        running = asyncio.create_task(server.serve(sockets=[http]))
        log.info(
            "ready: %s version %s, HTTP %s:%s, gRPC %s:%s",
            *(name, self._version, self._host, http.getsockname()[1], self._host, grpc_port),
        )
        # It answers meanwhile; a daemon, as nothing is lost when the process ends before it is done.
        threading.Thread(target=self._quicken, name="quicken", daemon=True).start()
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        log.info("stopping: answering what is under way")
        self._plane.draining = front.draining = True
        if not running.done():
            await asyncio.sleep(LINGER_SECONDS)
        server.should_exit = True
        await asyncio.gather(_stop_grpc(grpc, answering), running)
        if self._events is not None and sender is not None:
            await self._events.close(sender, EVENTS_SECONDS)
        sweeper.cancel()
        if spans is not None:
            # What is left is sent, which takes as long as the exporter's own limit says.
            await asyncio.to_thread(spans.shutdown)
        log.info("stopped")

    def _stop(self, stopping: asyncio.Event) -> None:
        if stopping.is_set():
            log.warning("told to stop a second time; ending at once")
            os._exit(1)
        stopping.set()

    def _bind(self, grpc: Any) -> int:
        address = f"[{self._host}]" if ":" in self._host else self._host
        try:
            return int(grpc.add_insecure_port(f"{address}:{self.grpc_port}"))
        except RuntimeError as error:
            raise no_port("gRPC", self._host, self.grpc_port, error) from error


class _DataPlane(DataPlane):  # type: ignore[misc]
    """KServe's, but not ready while it drains, and with malformed V2 requests reported as such."""

    draining = False
    version = ""

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        """KServe's, with the version and what the model is run by."""
        described: dict[str, Any] = await super().model_metadata(model_name)
        return described | {"versions": [self.version], "platform": "loopwright"}

    async def ready(self) -> bool:
        return not self.draining and all(model.ready for model in self.model_registry.get_models().values())

    def decode(self, *arguments: Any, **named: Any) -> Any:
        try:
            return super().decode(*arguments, **named)
        except InvalidInput:
            raise
        except Exception as error:
            raise InvalidInput(f"the request is malformed: {type(error).__name__}: {error}") from error


class _FixedRepository(ModelRepositoryExtension):  # type: ignore[misc]
    """KServe lets any caller unload a model; here a rollout decides what is served."""

    async def load(self, model_name: str) -> None:
        raise NotImplementedError("Loading and unloading is done by rollouts")

    unload = load


async def _stop_grpc(grpc: Any, answering: asyncio.Event) -> None:
    # gRPC takes calls one by one from a queue of its own, and cancels those that are still in it when it stops. While
    # answers are held back the queue runs empty, as clients wait for them; what comes later is sent elsewhere.
    answering.clear()
    await asyncio.sleep(HOLD_SECONDS)
    stopped = asyncio.create_task(grpc.stop(GRACE_SECONDS))
    await asyncio.sleep(HOLD_SECONDS)
    answering.set()
    await stopped


def _report_end(sender: "asyncio.Task[None]") -> None:
    if not sender.cancelled() and sender.exception() is not None:
        log.error("events are no longer sent: %r", sender.exception())


def _uvicorn(front: App) -> uvicorn.Server:
    config = uvicorn.Config(
        front,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        # Longer than what proxies keep a connection for, or they would now and then meet a closed one.
        timeout_keep_alive=75,
    )
    server = uvicorn.Server(config)
    # Signals are handled in `serve`, which drains HTTP and gRPC together.
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    return server
