"""What is read of a CloudEvent before it is acknowledged, in all three modes."""

import base64
import json

import pytest

from loopwright.monitor.cloudevents import MOST_TEXT, REQUEST, RESPONSE, read
from loopwright.monitor.events import EventError

BODY = b'{"instances": [[1, "basic"]]}'
HEADERS = {
    b"ce-id": b"r1",
    b"ce-type": REQUEST.encode(),
    b"ce-specversion": b"1.0",
    b"ce-time": b"2026-11-21T09:00:00.123456789Z",
    b"ce-namespace": b"shop",
    b"ce-inferenceservicename": b"churn",
    b"ce-component": b"predictor",
    b"ce-endpoint": b"default",
    b"content-type": b"application/json",
}
EVENT = {
    "id": "r1", "type": REQUEST, "specversion": "1.0", "source": "http://localhost:9081/",
    "time": "2026-11-21T09:00:00.123456789Z", "namespace": "shop", "inferenceservicename": "churn",
    "component": "predictor", "endpoint": "default", "metadata": "{}",
}  # fmt: skip


def structured(content, kind="application/cloudevents+json; charset=utf-8"):
    return read("", {b"content-type": kind.encode()}, json.dumps(content).encode())


def test_the_event_of_kserves_logger_is_read_from_its_headers():
    (half,) = read("", HEADERS, BODY)
    assert half.key == ("r1", ("", "shop", "churn", "predictor", "default"))
    assert (half.request, half.names, half.body) == (True, ("churn",), BODY)
    assert half.at == pytest.approx(1795251600.123456, abs=1e-6)


def test_the_modes_say_the_same():
    (binary,) = read("", HEADERS, BODY)
    assert structured({**EVENT, "data": json.loads(BODY)})[0]._replace(body=BODY) == binary
    assert structured({**EVENT, "data": BODY.decode()}) == [binary]
    assert structured({**EVENT, "data_base64": base64.b64encode(BODY).decode()}) == [binary]
    answer = {**EVENT, "type": RESPONSE, "data": BODY.decode()}
    batch = structured([{**EVENT, "data": BODY.decode()}, answer], "application/cloudevents-batch+json")
    assert batch == [binary, binary._replace(request=False)]


def test_a_version_is_named_by_the_path_or_the_annotation_or_the_service():
    annotated = {**HEADERS, b"ce-annotations": b'{"loopwright.dev/version": "7"}'}
    assert read("3", annotated, BODY)[0].names == ("3",)
    assert read("", annotated, BODY)[0].names == ("7", "churn")
    assert read("", {**HEADERS, b"ce-annotations": b"{loopwright.dev"}, BODY)[0].names == ("churn",)


def test_an_id_that_is_not_ascii_comes_percent_encoded():
    assert read("", {**HEADERS, b"ce-id": b"Kunde%20%C3%A9"}, BODY)[0].key[0] == "Kunde é"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({b"ce-id": None}, "the header ce-id is missing"),
        ({b"ce-specversion": None}, "the header ce-specversion is missing"),
        ({b"ce-id": b""}, "is empty or longer"),
        ({b"ce-id": b"x" * (MOST_TEXT + 1)}, "is empty or longer"),
        ({b"ce-namespace": b"x" * (MOST_TEXT + 1)}, "a namespace or a name is longer"),
        ({b"ce-type": b"org.example"}, "type is 'org.example'"),
        ({b"ce-time": b"yesterday"}, "time is 'yesterday'"),
    ],
)
def test_what_is_no_event_of_an_inference_is_refused(change, text):
    headers = {name: value for name, value in (HEADERS | change).items() if value is not None}
    with pytest.raises(EventError, match=text):
        read("", headers, BODY)


@pytest.mark.parametrize("content", [[], {}, {**EVENT, "id": 3}, {**EVENT, "data_base64": "%"}, 7])
def test_structured_events_that_are_broken_are_refused(content):
    with pytest.raises(EventError, match="not a CloudEvent"):
        structured(content)
