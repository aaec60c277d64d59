"""KServe's HTTP application, with answers to errors that say what is wrong, and no log line a request.

KServe's own handlers log every error with its traceback, which would let any caller fill the disk; its timing
middleware routes every request twice to log how long it took. Neither is used.
"""

import logging
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kserve.errors import InferenceError, InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer
from starlette.exceptions import HTTPException

from loopwright.serving.scorer import Overloaded, TooManyRows

log = logging.getLogger(__name__)


def application(plane: DataPlane, repository: ModelRepositoryExtension) -> FastAPI:
    """KServe's application, with this plane behind its routes."""
    from kserve.model_server import app

    _Rest(plane, repository).register(app)
    return cast(FastAPI, app)


class _Rest(RESTServer):  # type: ignore[misc]
    def __init__(self, plane: DataPlane, repository: ModelRepositoryExtension) -> None:
        super().__init__("", plane, repository, http_port=0)

    def register(self, app: FastAPI) -> None:
        self._register_endpoints(app)
        for error, status in _STATUS.items():
            app.add_exception_handler(error, _answer(status))
        app.add_exception_handler(RequestValidationError, _malformed)
        app.add_exception_handler(HTTPException, _http_error)
        for failure in (InferenceError, Exception):
            app.add_exception_handler(failure, _failure)


_STATUS = {TooManyRows: 413, InvalidInput: 400, ModelNotFound: 404, NotImplementedError: 501} | {
    ModelNotReady: 503,
    ServerNotReady: 503,
    Overloaded: 503,
}
# What a client that was refused for too much work waits before it comes again, in seconds.
RETRY_AFTER = "1"


def _answer(status: int) -> Any:
    async def handler(request: Request, error: Exception) -> JSONResponse:
        headers = {"retry-after": RETRY_AFTER} if isinstance(error, Overloaded) else None
        return JSONResponse({"error": str(error)}, status, headers)

    return handler


async def _malformed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    at = ".".join(str(part) for part in first["loc"] if part not in ("body", "InferenceRequest"))
    found = "the body is not JSON" if first["type"] == "json_invalid" else f"{at or 'the body'}: {first['msg']}"
    return JSONResponse({"error": f"{found}; expected a request of the Open Inference Protocol"}, 400)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _failure(request: Request, error: Exception) -> JSONResponse:
    report(error)
    return JSONResponse({"error": str(error) or type(error).__name__}, 500)


_reported: set[str] = set()


def report(error: Exception) -> None:
    """Log a failure that is ours."""
    # The first of each kind is logged: a model that fails every request must not fill the disk as well.
    text = f"{type(error).__name__}: {error}"[:300]
    if text not in _reported and len(_reported) < 100:
        _reported.add(text)
        log.error("a prediction failed: %s (logged once)", text)
