"""What is pushed is what protobuf's own runtime and Snappy's own library read as the samples; failures are counted."""

import asyncio
import logging
import math
import re
import struct

import httpx
import pyarrow as pa
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from loopwright.declaration import parse
from loopwright.durations import Clock
from loopwright.loop.push import RemoteWrite
from loopwright.monitor import exposition as metrics
from loopwright.monitor import push as module
from loopwright.monitor import remote_write
from loopwright.monitor.app import build
from loopwright.monitor.push import RemoteWriter
from loopwright.monitor.state import Monitor

SAMPLES = [
    (metrics.EVENTS, ("churn", "1"), 12),
    (metrics.DRIFT_SCORE, ("churn", "1", 'ä "b"\n'), 0.25),
    (metrics.DRIFT_SCORE, ("churn", "1", "nan"), math.nan),
]
URL = "http://receiver/api/v1/write"


def message():
    """prometheus.WriteRequest, as its types.proto and remote.proto declare it."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="write.proto", package="prometheus", syntax="proto3")
    for name, fields in {
        "Label": [("name", 1, kinds.TYPE_STRING, ""), ("value", 2, kinds.TYPE_STRING, "")],
        "Sample": [("value", 1, kinds.TYPE_DOUBLE, ""), ("timestamp", 2, kinds.TYPE_INT64, "")],
        "TimeSeries": [("labels", 1, kinds.TYPE_MESSAGE, "Label"), ("samples", 2, kinds.TYPE_MESSAGE, "Sample")],
        "WriteRequest": [("timeseries", 1, kinds.TYPE_MESSAGE, "TimeSeries")],
    }.items():
        one = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            label = kinds.LABEL_REPEATED if of else kinds.LABEL_OPTIONAL
            one.field.add(
                name=field, number=number, type=kind, label=label, type_name=f".prometheus.{of}" if of else None
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


def read(body):
    """The series of a body: labels, value and time."""
    size, shift, at = 0, 0, 0
    while True:
        size |= (body[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not body[at - 1] & 0x80:
            break
    content = pa.decompress(body, size, codec="snappy", asbytes=True)
    request = message()()
    request.ParseFromString(content)
    return [
        ({label.name: label.value for label in one.labels}, one.samples[0].value, one.samples[0].timestamp)
        for one in request.timeseries
    ]


def test_the_runtimes_own_read_what_was_written():
    (body,) = remote_write.bodies(SAMPLES, {"job": "m", "zone": "", "version": "overruled"}, 1_795_165_200_123)
    series = read(body)
    assert series[0] == (
        {"__name__": "loopwright_events_total", "job": "m", "loop": "churn", "version": "1"}, 12.0, 1_795_165_200_123,
    )  # fmt: skip
    assert series[1][0]["feature"] == 'ä "b"\n'
    assert math.isnan(series[2][1])
    for labels, _, _ in series:
        assert list(labels) == sorted(labels)


def test_a_body_longer_than_a_literal_is_read_as_well_and_many_series_are_several_requests():
    many = [(metrics.DRIFT_SCORE, ("churn", "1", f"feature-{number:030d}"), number) for number in range(2001)]
    first, second = remote_write.bodies(many, {}, 1)
    assert len(first) > 3 * 2**16
    assert [value for _, value, _ in read(first) + read(second)] == list(range(2001))


def test_a_series_that_ends_has_the_one_nan_that_says_so():
    (body,) = remote_write.bodies(SAMPLES[:1], {}, 1, stale=True)
    assert struct.pack("<Q", 0x7FF0000000000002) in body


class Receiver:
    """A stand-in for a receiver: answers with the statuses it is given, then with 204."""

    def __init__(self, *statuses, **declared):
        self.statuses, self.requests = list(statuses), []
        self.declared = RemoteWrite(url=URL, **declared)

    def handle(self, request):
        self.requests.append(request)
        status = self.statuses.pop(0) if self.statuses else 204
        if status == 0:
            raise httpx.ConnectError("no route")
        return httpx.Response(status, text="out of order sample" if status == 400 else "")

    def run(self, job, **environ):
        async def call():
            async with httpx.AsyncClient(transport=httpx.MockTransport(self.handle)) as client:
                writer = RemoteWriter(client, self.declared, "pod-1:9090", lambda: 1000.5, environ)
                await job(writer)
                return writer

        return asyncio.run(call())


def test_a_push_names_its_process_and_who_it_is():
    receiver = Receiver(labels={"cluster": "eu"})
    receiver.run(lambda writer: writer.push(SAMPLES), LOOPWRIGHT_REMOTE_WRITE_TOKEN="s3cret\n")
    (request,) = receiver.requests
    assert request.headers["authorization"] == "Bearer s3cret"
    assert request.headers["content-encoding"] == "snappy"
    assert request.headers["x-prometheus-remote-write-version"] == "0.1.0"
    labels, _, moment = read(request.content)[0]
    assert (labels["job"], labels["instance"], labels["cluster"]) == ("loopwright-monitor", "pod-1:9090", "eu")
    assert moment == 1_000_500


def test_a_user_has_the_token_as_password():
    receiver = Receiver()
    environ = {"LOOPWRIGHT_REMOTE_WRITE_USER": "7", "LOOPWRIGHT_REMOTE_WRITE_TOKEN": "s3cret"}
    receiver.run(lambda writer: writer.push(SAMPLES), **environ)
    assert receiver.requests[0].headers["authorization"] == "Basic NzpzM2NyZXQ="


def test_failures_are_counted_by_kind_and_told_once(caplog):
    receiver = Receiver(0, 503, 429, 400)

    async def five(writer):
        for _ in range(5):
            await writer.push(SAMPLES)

    with caplog.at_level(logging.INFO):
        writer = receiver.run(five)
    assert dict(writer.pushes) == {"sent": 1, "failed": 3, "refused": 1}
    assert [record.message for record in caplog.records if record.name == module.__name__] == [
        f"metrics are not taken by {URL}: ConnectError no route",
        f"metrics are taken by {URL} again",
    ]


def test_at_the_end_the_series_are_told_to_be_over_unless_nobody_listens():
    receiver = Receiver()
    receiver.run(lambda writer: writer.close(lambda: SAMPLES))
    assert [next(moment for _, _, moment in read(request.content)) for request in receiver.requests] == [
        1000500,
        1000501,
    ]
    assert remote_write.STALE in receiver.requests[1].content
    away = Receiver(0)
    away.run(lambda writer: writer.close(lambda: SAMPLES))
    assert len(away.requests) == 1


def test_a_running_monitor_pushes_what_it_exposes(loop, monkeypatch):
    monkeypatch.setattr(module, "LEAST", 0.01)
    receiver = Receiver(every="10ms")

    async def serve(writer):
        app = build(Monitor(loop, Clock(), lambda content: None), writer=writer)
        async with app.router.lifespan_context(app), asyncio.timeout(10):
            while len(receiver.requests) < 2:
                await asyncio.sleep(0.01)

    writer = receiver.run(serve)
    pushed = {labels["__name__"] for labels, _, _ in read(receiver.requests[1].content)}
    assert {"loopwright_events_rejected_total", "loopwright_remote_write_pushes_total"} <= pushed
    assert remote_write.STALE in receiver.requests[-1].content
    assert writer.pushes["sent"] >= 2


@pytest.mark.parametrize(
    "url", ["prometheus:9090", "ftp://host/x", "http://user:secret@host/x", "http://host/x?token=1"]
)
def test_a_receiver_that_is_no_url_or_has_a_secret_in_it_is_refused(churn_declaration, url):
    with pytest.raises(Exception, match=re.escape("monitor.remote_write.url: found")):
        parse(churn_declaration + f'monitor: {{remote_write: {{url: "{url}"}}}}')
