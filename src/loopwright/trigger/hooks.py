"""What others tell of: a job that delivered rows, and MLflow's registry. Each message is read into one cause.

A job posts with the bearer token, as a person does. MLflow cannot send one: it signs what it sends with the secret of
its webhook (https://mlflow.org/docs/latest/ml/webhooks/), which is the same token here. A signature holds for a moment
only, and a delivery is known by its id, so that what somebody recorded on the way starts nothing when it is replayed.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from loopwright.http import Refused
from loopwright.trigger.causes import Cause, invalid
from loopwright.trigger.events import told

CHAMPION = "champion"

# Real seconds that a signature's moment may be away from ours: MLflow tries again for about a minute, clocks differ.
SIGNED_SECONDS = 300.0

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Delivered(BaseModel):
    """What a job says of the rows that it delivered: an id of the delivery, in words what it was, and who says so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Line
    summary: Line
    by: Line


class _Data(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Line
    alias: Line
    version: Line


class _Registry(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    entity: Line
    action: Line
    data: dict[str, Any] = Field(default_factory=dict)


def delivered(body: bytes) -> Cause:
    """The cause that a job's message is. Raises BodyError."""
    try:
        read = Delivered.model_validate_json(body)
    except ValidationError as error:
        example = 'a body such as {"id": "2026-11-21", "summary": "the day\'s rows", "by": "the nightly export"}'
        raise invalid(error, example) from error
    return told("new_data", read.id, read.summary, by=read.by)


def verify(headers: Mapping[str, str], body: bytes, secret: str, now: datetime) -> str:
    """The id of a delivery that MLflow signed just now. Raises Refused where it is not signed with the secret."""
    delivery = headers.get("x-mlflow-delivery-id", "")
    moment = headers.get("x-mlflow-timestamp", "")
    if not secret:
        raise Refused(401, "messages of the registry are taken with LOOPWRIGHT_TOKEN only, as its webhook's secret")
    signed = hmac.new(secret.encode(), f"{delivery}.{moment}.".encode("latin-1") + body, hashlib.sha256).digest()
    given = headers.get("x-mlflow-signature", "").encode("latin-1")
    if not delivery or not hmac.compare_digest(given, b"v1," + base64.b64encode(signed)):
        raise Refused(401, "the signature is missing or wrong")
    if not moment.isdigit() or abs(int(moment) - now.timestamp()) > SIGNED_SECONDS:
        raise Refused(401, f"the message was signed more than {SIGNED_SECONDS:.0f} seconds before or after now")
    return delivery


def registered(body: bytes, delivery: str, upstream: tuple[str, ...]) -> Cause | str:
    """The cause that a registry's message is, or why it is none. Raises BodyError."""
    try:
        message = _Registry.model_validate_json(body)
        if (message.entity, message.action) != ("model_version_alias", "created"):
            return f"{message.entity} {message.action} starts nothing: expected model_version_alias created"
        data = _Data.model_validate(message.data)
    except ValidationError as error:
        raise invalid(error, "a webhook body of MLflow") from error
    if data.name not in upstream:
        return f"retrain.upstream has {', '.join(upstream) or 'nothing'}, and not {data.name}"
    if data.alias != CHAMPION:
        return f"the alias {data.alias} starts nothing: expected {CHAMPION}"
    summary = f"version {data.version} of {data.name} became its champion"
    return told("registry", delivery, summary, model=data.name, upstream_version=data.version)
