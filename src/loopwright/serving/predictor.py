"""The model as KServe knows it: what its path decodes is answered, refused or explained here.

KServe decodes and routes; this turns a request into columns, and a prediction into what KServe encodes. Most requests
do not come this way (see `fast`); all that are unusual or wrong do.
"""

from collections.abc import Mapping
from typing import Any

import kserve
import orjson
from kserve.errors import InferenceError, InvalidInput

from loopwright.errors import InputError, LoopwrightError
from loopwright.models import explain
from loopwright.models.columns import Columns, from_lists, from_rows
from loopwright.serving import answers, explaining, tensors
from loopwright.serving.batch import row_ids
from loopwright.serving.scorer import Scorer, check_count, identify


class Predictor(kserve.Model):  # type: ignore[misc]
    """One version of one loop."""

    def __init__(self, name: str, version: str, scorer: Scorer) -> None:
        super().__init__(name)
        self._version = version
        self._scorer = scorer
        self._model = scorer.model
        self._explain = explain.explainer(scorer.model)
        self._explaining = scorer.queue("explain")
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        """The tensors a V2 request carries."""
        return tensors.describe_inputs(self._model.inputs)

    def get_output_types(self) -> list[dict[str, Any]]:
        """The tensors a V2 answer carries."""
        return tensors.describe_outputs(self._scorer.classes)

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

    async def explain(self, payload: Any, headers: Mapping[str, str] | None = None) -> Any:
        """How much each feature adds to each row's raw score. Raises InvalidInput, and NotImplementedError."""
        try:
            columns, count = self._columns(payload)
            if self._explain is None:
                raise NotImplementedError(
                    f"this model of {self._model.manifest.estimator} cannot be explained, as it was trained before "
                    "there was a reference row in its bundle; train it again"
                )
            identity = identify((headers or {}).get("x-request-id"))
            explanations = await explaining.explained(self._explaining, self._explain, columns, count)
        except InputError as error:
            raise InvalidInput(str(error)) from error
        except LoopwrightError as error:
            raise InferenceError(str(error)) from error
        ids = row_ids(identity, count)
        return self._head(identity) | {
            "explanations": [{"id": one, **row} for one, row in zip(ids, explanations, strict=True)]
        }

    async def _v1(self, payload: Any, headers: Mapping[str, str]) -> dict[str, Any]:
        columns, count = self._columns(payload)
        identity = identify(headers.get("x-request-id"))
        predictions = await self._scorer.many(identity, columns, count)
        return self._head(identity) | {
            "predictions": answers.predictions(
                row_ids(identity, count), predictions.tolist(), self._scorer.classes, self._scorer.threshold
            )
        }

    async def _v2(self, request: kserve.InferRequest, headers: Mapping[str, str]) -> kserve.InferResponse:
        count = tensors.rows(request)
        check_count(count)
        columns = tensors.to_columns(request, self._model.inputs, self._model.ignored)
        identity = identify(request.id or headers.get("x-request-id"))
        predictions = await self._scorer.many(identity, columns, count)
        return kserve.InferResponse(
            response_id=identity,
            model_name=self.name,
            model_version=self._version,
            infer_outputs=tensors.to_outputs(predictions, self._scorer.classes, self._scorer.threshold),
            requested_outputs=request.request_outputs,
            use_binary_outputs=request.use_binary_outputs,
        )

    def _head(self, identity: str) -> dict[str, Any]:
        return {"model_name": self.name, "model_version": self._version, "id": identity}

    def _columns(self, payload: Any) -> tuple[Columns, int]:
        """The columns of a V1 request and its number of rows."""
        rows = _instances(payload)
        check_count(len(rows))
        if isinstance(rows[0], list):
            return from_lists(self._model.inputs, rows), len(rows)
        return from_rows(self._model.inputs, rows, self._model.ignored), len(rows)


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
