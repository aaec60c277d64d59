"""A span a request, where OpenTelemetry is installed and told where to send spans to; otherwise nothing is wrapped.

The environment is OpenTelemetry's own (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/):
OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER turns tracing on, and the SDK reads the rest, such as the sampler
and the service's name. A caller's `traceparent` makes the span a child of the caller's. Names of attributes are those
of the semantic conventions for HTTP and RPC.
"""

import importlib.metadata
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

from grpc import aio  # type: ignore[import-untyped]

from loopwright.serving.front import App, Message, Receive, Scope, Send

log = logging.getLogger(__name__)


def provider() -> Any | None:
    """The SDK's tracer provider with the exporter of the environment; None where tracing is off or cannot be had."""
    name = os.environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if name == "none" or not (name or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")):
        return None
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("no traces are sent: opentelemetry-sdk is not installed")
        return None
    found = importlib.metadata.entry_points(group="opentelemetry_traces_exporter", name=name or "otlp")
    if not found:
        log.warning(
            "no traces are sent: no exporter %s is installed (opentelemetry-exporter-otlp is one)", name or "otlp"
        )
        return None
    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(next(iter(found)).load()()))
    return made


def traced(app: App, provider: Any, version: str) -> App:
    """The application with a span around every HTTP request but health checks and metrics, which are GET."""
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind, StatusCode

    tracer = provider.get_tracer("loopwright.serving")

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await app(scope, receive, send)
            return
        context = extract({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]})
        attributes = {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "loopwright.version": version,
        }
        name = f"{scope['method']} {scope['path']}"
        with tracer.start_as_current_span(name, context, SpanKind.SERVER, attributes) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            await app(scope, receive, told)

    return wrapped


class Interceptor(aio.ServerInterceptor):  # type: ignore[misc]
    """A span around every ModelInfer call."""

    def __init__(self, provider: Any, version: str) -> None:
        self._tracer, self._version = provider.get_tracer("loopwright.serving"), version

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler of the call, wrapped when it is a prediction's."""
        import grpc
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        handler = await continuation(details)
        service, _, method = details.method.lstrip("/").partition("/")
        if handler is None or method != "ModelInfer":
            return handler
        context = extract({key: value for key, value in details.invocation_metadata if isinstance(value, str)})
        attributes = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": method,
            "loopwright.version": self._version,
        }

        async def call(request: Any, servicer: Any) -> Any:
            # A call that is refused ends by an exception, which the span keeps.
            with self._tracer.start_as_current_span(f"{service}/{method}", context, SpanKind.SERVER, attributes):
                return await handler.unary_unary(request, servicer)

        return grpc.unary_unary_rpc_method_handler(call, handler.request_deserializer, handler.response_serializer)
