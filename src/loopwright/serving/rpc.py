"""KServe's gRPC service on a server of its own: bounded messages, one owner of its port, statuses for errors.

Plain requests for predictions are answered from the message's fields (see `fast` for what is plain); everything else
goes the way that KServe's servicer gives it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from grpc import StatusCode, aio  # type: ignore[import-untyped]
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2, grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from loopwright.errors import InputError
from loopwright.serving.fast import Fast, Request
from loopwright.serving.front import MAX_BODY_BYTES
from loopwright.serving.metrics import Metrics, Outcome
from loopwright.serving.rest import report
from loopwright.serving.scorer import Overloaded

_CODES = {
    InvalidInput: StatusCode.INVALID_ARGUMENT,
    ModelNotFound: StatusCode.NOT_FOUND,
    NotImplementedError: StatusCode.UNIMPLEMENTED,
    ModelNotReady: StatusCode.UNAVAILABLE,
    ServerNotReady: StatusCode.UNAVAILABLE,
    Overloaded: StatusCode.RESOURCE_EXHAUSTED,
}
# What an error is counted as: an outcome and a kind, as over HTTP.
_COUNTED: dict[StatusCode, tuple[Outcome, str]] = {
    StatusCode.INVALID_ARGUMENT: ("invalid", "malformed"),
    StatusCode.NOT_FOUND: ("invalid", "unknown_model"),
    StatusCode.UNIMPLEMENTED: ("invalid", "unsupported"),
    StatusCode.UNAVAILABLE: ("refused", "unavailable"),
    StatusCode.RESOURCE_EXHAUSTED: ("refused", "unavailable"),
}
# More calls at once than this are refused by gRPC itself, with RESOURCE_EXHAUSTED.
MAX_CALLS = 1000


def server(
    plane: DataPlane,
    repository: ModelRepositoryExtension,
    metrics: Metrics,
    fast: Fast,
    name: str,
    answering: asyncio.Event,
    interceptors: Sequence[aio.ServerInterceptor] = (),
) -> aio.Server:
    """A server with KServe's inference service, not yet bound to a port; predictions wait while not `answering`."""
    made = aio.server(
        interceptors=interceptors,
        maximum_concurrent_rpcs=MAX_CALLS,
        options=[
            ("grpc.max_send_message_length", MAX_BODY_BYTES),
            ("grpc.max_receive_message_length", MAX_BODY_BYTES),
            # Otherwise a second process could take the same port, and half of the requests.
            ("grpc.so_reuseport", 0),
        ],
    )
    servicer = _Servicer(plane, repository, metrics, fast, name, answering)
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, made)
    return made


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """KServe's method, with gRPC's statuses for what goes wrong in it."""

    async def guarded(self: "_Servicer", request: Any, context: Any) -> Any:
        try:
            return await method(self, request, context)
        except Exception as error:
            await context.abort(_code(error), str(error) or type(error).__name__)

    return guarded


class _Servicer(InferenceServicer):  # type: ignore[misc]
    def __init__(
        self,
        plane: DataPlane,
        repository: ModelRepositoryExtension,
        metrics: Metrics,
        fast: Fast,
        name: str,
        answering: asyncio.Event | None = None,
    ) -> None:
        super().__init__(plane, repository)
        self._metrics, self._fast, self._name, self._answering = metrics, fast, name, answering

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's own name
        """Answer a request for predictions, and count it."""
        started = time.perf_counter()
        if self._answering is not None and not self._answering.is_set():
            await self._answering.wait()
        try:
            plain = self._plain(request, context)
            if plain is None:
                answer = await super().ModelInfer(request, context)
            else:
                answer = await self._fast.message(
                    plain, grpc_predict_v2_pb2.ModelInferResponse, raw=bool(request.raw_input_contents)
                )
        except Exception as error:
            code = _code(error)
            outcome, kind = _COUNTED.get(code, ("error", "internal"))
            self._metrics.count("grpc", outcome, time.perf_counter() - started)
            self._metrics.failed(kind)
            await context.abort(code, str(error) or type(error).__name__)
        self._metrics.count("grpc", "ok", time.perf_counter() - started)
        return answer

    @_guarded
    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's own name
        """KServe's, with the versions."""
        return grpc_predict_v2_pb2.ModelMetadataResponse(**await self._data_plane.model_metadata(request.name))

    ServerMetadata = _guarded(InferenceServicer.ServerMetadata)
    ServerLive = _guarded(InferenceServicer.ServerLive)
    ServerReady = _guarded(InferenceServicer.ServerReady)
    ModelReady = _guarded(InferenceServicer.ModelReady)
    RepositoryModelLoad = _guarded(InferenceServicer.RepositoryModelLoad)
    RepositoryModelUnload = _guarded(InferenceServicer.RepositoryModelUnload)

    def _plain(self, request: Any, context: Any) -> Request | None:
        if request.model_name != self._name or request.outputs or request.parameters:
            return None
        identity = request.id
        if not identity:
            for key, value in context.invocation_metadata():
                # The last one, as KServe's servicer has it.
                identity = value if key == "x-request-id" else identity
        try:
            return self._fast.tensors(request.inputs, request.raw_input_contents, identity)
        except InputError:
            return None


def _code(error: Exception) -> StatusCode:
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), StatusCode.INTERNAL)
    if code == StatusCode.INTERNAL:
        report(error)
    return code
