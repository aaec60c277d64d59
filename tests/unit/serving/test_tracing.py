import asyncio
import logging

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from loopwright.serving import tracing

TRACE, PARENT = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
HEADER = f"00-{TRACE:032x}-{PARENT:016x}-01"


@pytest.fixture
def spans():
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider, exporter
    provider.shutdown()


async def app(scope, receive, send):
    status = 503 if scope["path"] == "/busy" else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def ask(provider, method, path, **headers):
    async def one():
        transport = httpx.ASGITransport(tracing.traced(app, provider, "3"))
        async with httpx.AsyncClient(transport=transport, base_url="http://predictor") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(one())


def test_a_request_is_a_span_below_its_callers(spans):
    provider, exporter = spans
    assert ask(provider, "POST", "/v1/models/churn:predict", traceparent=HEADER).status_code == 200
    ask(provider, "POST", "/busy")
    first, second = exporter.get_finished_spans()
    assert (first.context.trace_id, first.parent.span_id) == (TRACE, PARENT)
    assert first.name == "POST /v1/models/churn:predict"
    assert dict(first.attributes) == {
        "http.request.method": "POST",
        "url.path": "/v1/models/churn:predict",
        "loopwright.version": "3",
        "http.response.status_code": 200,
    }
    assert second.parent is None
    assert (first.status.is_ok, second.status.is_ok) == (True, False)


def test_health_checks_are_no_spans(spans):
    provider, exporter = spans
    ask(provider, "GET", "/v2/health/ready")
    assert exporter.get_finished_spans() == ()


def test_a_grpc_prediction_is_a_span_below_its_callers(spans):
    import grpc
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
    from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as service

    provider, exporter = spans

    class Servicer(service.GRPCInferenceServiceServicer):
        async def ModelInfer(self, request, context):  # noqa: N802 - the service's own name
            if not request.inputs:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no inputs")
            return messages.ModelInferResponse(id="x")

        async def ServerLive(self, request, context):  # noqa: N802 - the service's own name
            return messages.ServerLiveResponse(live=True)

    async def run():
        server = grpc.aio.server(interceptors=[tracing.Interceptor(provider, "3")])
        service.add_GRPCInferenceServiceServicer_to_server(Servicer(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = service.GRPCInferenceServiceStub(channel)
            await stub.ServerLive(messages.ServerLiveRequest())
            await stub.ModelInfer(
                messages.ModelInferRequest(inputs=[{"name": "a"}]), metadata=[("traceparent", HEADER)]
            )
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.ModelInfer(messages.ModelInferRequest())
        # The caller has its refusal before the handler ends, which a stop without grace would cut off.
        await server.stop(10)

    asyncio.run(run())
    first, refused = exporter.get_finished_spans()
    assert first.name == "inference.GRPCInferenceService/ModelInfer"
    assert (first.context.trace_id, first.parent.span_id) == (TRACE, PARENT)
    assert (first.status.is_ok, refused.status.is_ok) == (True, False)


@pytest.mark.parametrize(
    ("environment", "on", "said"),
    [
        ({}, False, ""),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}, False, ""),
        ({"OTEL_TRACES_EXPORTER": "nothing"}, False, "no exporter nothing is installed"),
        ({"OTEL_TRACES_EXPORTER": "console"}, True, ""),
    ],
)
def test_the_environment_turns_it_on(monkeypatch, caplog, environment, on, said):
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.WARNING):
        provider = tracing.provider()
    assert (provider is not None) == on
    assert said in caplog.text
    if provider is not None:
        provider.shutdown()
