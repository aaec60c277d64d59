"""KServe's gRPC service on a server of its own: bounded messages, one owner of its port, statuses for errors."""

from typing import Any, Never

from grpc import StatusCode, aio  # type: ignore[import-untyped]
from grpc_interceptor import AsyncExceptionToStatusInterceptor
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from loopwright.serving.front import MAX_BODY_BYTES
from loopwright.serving.metrics import Metrics
from loopwright.serving.rest import report

_CODES = {
    InvalidInput: StatusCode.INVALID_ARGUMENT,
    ModelNotFound: StatusCode.NOT_FOUND,
    NotImplementedError: StatusCode.UNIMPLEMENTED,
    ModelNotReady: StatusCode.UNAVAILABLE,
    ServerNotReady: StatusCode.UNAVAILABLE,
}


def server(plane: DataPlane, repository: ModelRepositoryExtension, metrics: Metrics) -> aio.Server:
    """A server with KServe's inference service, not yet bound to a port."""
    made = aio.server(
        interceptors=(_Errors(metrics),),
        options=[
            ("grpc.max_send_message_length", MAX_BODY_BYTES),
            ("grpc.max_receive_message_length", MAX_BODY_BYTES),
            # Otherwise a second process could take the same port, and half of the requests.
            ("grpc.so_reuseport", 0),
        ],
    )
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(InferenceServicer(plane, repository), made)
    return made


class _Errors(AsyncExceptionToStatusInterceptor):
    """gRPC's statuses for what went wrong, and the count of outcomes."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

    async def intercept(self, method: Any, request: Any, context: Any, method_name: str) -> Any:
        answer = await super().intercept(method, request, context, method_name)
        if method_name.endswith("/ModelInfer"):
            self._metrics.ok.inc()
        return answer

    async def handle_exception(self, ex: Exception, request_or_iterator: Any, context: Any, method_name: str) -> Never:
        code = next((code for kind, code in _CODES.items() if isinstance(ex, kind)), StatusCode.INTERNAL)
        if code == StatusCode.INTERNAL:
            report(ex)
        if method_name.endswith("/ModelInfer"):
            (self._metrics.error if code == StatusCode.INTERNAL else self._metrics.invalid).inc()
        await context.abort(code, str(ex) or type(ex).__name__)
        raise AssertionError("abort raises")
