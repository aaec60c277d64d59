"""CloudEvents of KServe's logger: what a model of any KServe runtime was asked, and what it answered.

The logger (pkg/logger/worker.go, KServe 0.21) sends one event for a request and one for its response, joined by their
id: binary mode, attributes in `ce-` headers, the body as the client or the model wrote it. Brokers that pass events on
may use the structured and the batched mode. An event is read only as far as it must be to say that it is one; what is
in its body is looked at later, after it was acknowledged.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from loopwright.monitor.events import EventError

REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"
VERSION_ANNOTATION = "loopwright.dev/version"
"""The annotation of an InferenceService that names its model's version, where the logger is told to pass it on."""

MOST_TEXT = 256
"""Characters of an attribute; longer ones are refused, as they are kept while the other half is waited for."""


class Half(NamedTuple):
    """A request, or a response, as it came."""

    key: tuple[str, tuple[str, ...]]
    """What request and response have in common: the id, and which service it was asked of."""
    request: bool
    names: tuple[str, ...]
    """What the version may be known as; the first that there is a profile of."""
    at: float
    """When it was asked or answered, in seconds since the epoch; 0 where the event does not say."""
    body: bytes
    size: int
    """About how many bytes of memory it takes: the body, and what CPython needs around it."""


class _Sender(NamedTuple):
    """What all events of one kind and one service have in common."""

    request: bool
    service: tuple[str, ...]
    names: tuple[str, ...]


class _Structured(msgspec.Struct):
    """The attributes that are used, of an event in JSON; others are ignored."""

    id: str
    type: str
    specversion: str
    time: str = ""
    namespace: str = ""
    inferenceservicename: str = ""
    component: str = ""
    endpoint: str = ""
    annotations: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    data_base64: bytes = b""


_ONE = msgspec.json.Decoder(_Structured)
_MANY = msgspec.json.Decoder(list[_Structured])
_TEXT = msgspec.json.Decoder(str)


def read(version: str, headers: Mapping[bytes, bytes], body: bytes) -> list[Half]:
    """The events of one HTTP message.

    `version` is the one that the path names, or empty; the names of `headers` are in lower case. Raises EventError
    for what is no CloudEvent of an inference.
    """
    content = headers.get(b"content-type", b"")
    if content.startswith(b"application/cloudevents"):
        try:
            batch = content.startswith(b"application/cloudevents-batch+json")
            events = _MANY.decode(body) if batch else [_ONE.decode(body)]
            return [_structured(version, event) for event in events]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EventError(f"not a CloudEvent: {error}") from error
    return [_binary(version, headers, body)]


def _binary(version: str, headers: Mapping[bytes, bytes], body: bytes) -> Half:
    given = headers.get
    try:
        identifier, kind = headers[b"ce-id"].decode("latin-1"), headers[b"ce-type"]
        headers[b"ce-specversion"]
    except KeyError as error:
        raise EventError(f"the header {error.args[0].decode()} is missing; expected a CloudEvent") from error
    sender = _sender(
        version, kind, given(b"ce-namespace", b""), given(b"ce-inferenceservicename", b""), given(b"ce-component", b""),
        given(b"ce-endpoint", b""), given(b"ce-annotations", b""),
    )  # fmt: skip
    # Values of headers are percent-encoded where they are not plain ASCII (CloudEvents' HTTP binding, 3.1.3.2).
    identifier = unquote(identifier) if "%" in identifier else identifier
    return _half(identifier, sender, given(b"ce-time", b"").decode("latin-1"), body)


@lru_cache(maxsize=64)
def _sender(
    version: str, kind: bytes, namespace: bytes, service: bytes, component: bytes, endpoint: bytes, annotations: bytes
) -> _Sender:
    """Who sent an event: there are few, and all that is said of one is looked at once. Raises EventError."""
    texts = [value.decode("latin-1") for value in (namespace, service, component, endpoint)]
    names = (version,) if version else _names(annotations, texts[1])
    return _checked(kind.decode("latin-1"), (version, *texts), names)


def _structured(version: str, event: _Structured) -> Half:
    body = event.data_base64
    if not body:
        data = bytes(event.data)
        # A body that is no JSON to its sender is a string of JSON.
        body = _TEXT.decode(data).encode() if data.startswith(b'"') else data
    names = (version,) if version else _names(event.annotations.encode(), event.inferenceservicename)
    service = (version, event.namespace, event.inferenceservicename, event.component, event.endpoint)
    return _half(event.id, _checked(event.type, service, names), event.time, body)


def _checked(kind: str, service: tuple[str, ...], names: tuple[str, ...]) -> _Sender:
    if kind not in (REQUEST, RESPONSE):
        raise EventError(f"the event's type is {kind[:80]!r}; expected {REQUEST} or .response")
    if max(map(len, service)) > MOST_TEXT:
        raise EventError(f"a namespace or a name is longer than {MOST_TEXT} characters")
    return _Sender(kind == REQUEST, service, names)


def _half(identifier: str, sender: _Sender, moment: str, body: bytes) -> Half:
    if not 0 < len(identifier) <= MOST_TEXT:
        raise EventError(f"the event's id is empty or longer than {MOST_TEXT} characters")
    try:
        at = datetime.fromisoformat(moment).timestamp() if moment else 0.0
    except (ValueError, OverflowError) as error:
        raise EventError(f"the event's time is {moment[:40]!r}; expected RFC 3339") from error
    return Half((identifier, sender.service), sender.request, sender.names, at, body, len(body) + 800)


def _names(annotations: bytes, service: str) -> tuple[str, ...]:
    """What the version is known as where the path does not say: by the annotation, or as the service itself."""
    if b"loopwright.dev" in annotations:
        try:
            found = json.loads(annotations)
        except ValueError:
            return (service,)
        name = found.get(VERSION_ANNOTATION) if isinstance(found, dict) else None
        return (str(name), service) if name is not None else (service,)
    return (service,)
