"""The model as KServe knows it: V1 and V2 requests in, probabilities, classes and ids out.

KServe decodes and routes; this turns a request into columns, asks the model, and hands what was asked and answered
to the events' queue. Numbers and text stay NumPy columns all the way; there is no data frame.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import kserve
import orjson
from kserve.errors import InferenceError, InvalidInput

from loopwright.errors import InputError, LoopwrightError
from loopwright.models.columns import Array, Columns, from_lists, from_rows
from loopwright.models.model import Model
from loopwright.serving import tensors
from loopwright.serving.events import Events
from loopwright.serving.metrics import Metrics

MAX_ROWS = 10_000
MAX_ID_LENGTH = 200
# Above this many rows a prediction leaves the event loop, so that health checks and other requests go on meanwhile.
_ROWS_IN_LOOP = 200


class TooManyRows(InvalidInput):  # type: ignore[misc]
    """A request with more rows than one answer may have: HTTP 413."""


class Predictor(kserve.Model):  # type: ignore[misc]
    """One version of one loop."""

    def __init__(self, name: str, version: str, model: Model, metrics: Metrics, events: Events | None) -> None:
        super().__init__(name)
        self._version = version
        self._model = model
        self._metrics = metrics
        self._events = events
        self._classes = tuple(_label(value) for value in model.classes)
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        """The tensors a V2 request carries."""
        return tensors.describe_inputs(self._model.inputs)

    def get_output_types(self) -> list[dict[str, Any]]:
        """The tensors a V2 answer carries."""
        return tensors.describe_outputs(self._classes)

    async def predict(
        self, payload: Any, headers: Mapping[str, str] | None = None, response_headers: dict[str, str] | None = None
    ) -> Any:
        """Answer a request that KServe has decoded. Raises InvalidInput for what the caller can correct."""
        try:
            if isinstance(payload, kserve.InferRequest):
                return await self._v2(payload, headers or {})
            return await self._v1(payload, headers or {})
        except InputError as error:
            raise InvalidInput(str(error)) from error
        except LoopwrightError as error:
            raise InferenceError(str(error)) from error

    async def _v1(self, payload: Any, headers: Mapping[str, str]) -> dict[str, Any]:
        rows = _instances(payload)
        _check_count(len(rows))
        if isinstance(rows[0], list):
            columns = from_lists(self._model.inputs, rows)
        else:
            columns = from_rows(self._model.inputs, rows, self._model.ignored)
        identity = _identity(headers.get("x-request-id"))
        ids, predictions = await self._predict(identity, columns, len(rows))
        return {
            "model_name": self.name,
            "model_version": self._version,
            "id": identity,
            "predictions": self._describe(ids, predictions.tolist()),
        }

    async def _v2(self, request: kserve.InferRequest, headers: Mapping[str, str]) -> kserve.InferResponse:
        count = tensors.rows(request)
        _check_count(count)
        columns = tensors.to_columns(request, self._model.inputs, self._model.ignored)
        identity = _identity(request.id or headers.get("x-request-id"))
        _, predictions = await self._predict(identity, columns, count)
        return kserve.InferResponse(
            response_id=identity,
            model_name=self.name,
            model_version=self._version,
            infer_outputs=tensors.to_outputs(predictions, self._classes),
            requested_outputs=request.request_outputs,
            use_binary_outputs=request.use_binary_outputs,
        )

    async def _predict(self, identity: str, columns: Columns, count: int) -> tuple[list[str], Array]:
        if count <= _ROWS_IN_LOOP:
            predictions = self._model.predict(columns)
        else:
            predictions = await asyncio.to_thread(self._model.predict, columns)
        ids = [identity] if count == 1 else [f"{identity}/{row}" for row in range(count)]
        self._metrics.rows.inc(count)
        if self._events is not None:
            self._events.add(ids, columns, predictions)
        return ids, predictions

    def _describe(self, ids: Sequence[str], predictions: Sequence[float]) -> list[dict[str, Any]]:
        if not self._classes:
            return [{"id": one, "prediction": value} for one, value in zip(ids, predictions, strict=True)]
        negative, positive = self._classes
        return [
            {
                "id": one,
                "class": positive if value >= 0.5 else negative,
                "probability": value,
                "probabilities": {negative: 1.0 - value, positive: value},
            }
            for one, value in zip(ids, predictions, strict=True)
        ]


def _instances(payload: Any) -> list[Any]:
    if isinstance(payload, bytes):
        # KServe leaves a body alone whose content type says more than it knows, such as a charset.
        try:
            payload = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise InputError(f"the body is not JSON: {error}", expected='{"instances": [...]}') from error
    rows = payload.get("instances") if isinstance(payload, dict) else None
    if not isinstance(rows, list):
        raise InputError('the body has no list "instances"', expected='{"instances": [{"column": value, ...}, ...]}')
    return rows


def _check_count(count: int) -> None:
    if count < 1:
        raise InputError("there are no rows to predict", expected="at least one")
    if count > MAX_ROWS:
        raise TooManyRows(f"found {count} rows; expected at most {MAX_ROWS}. Send them in several requests")


def _identity(given: str | None) -> str:
    if not given:
        return uuid.uuid4().hex
    if len(given) > MAX_ID_LENGTH:
        raise InputError(f"the request id has {len(given)} characters", expected=f"at most {MAX_ID_LENGTH}")
    return given


def _label(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
