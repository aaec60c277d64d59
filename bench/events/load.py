"""What is sent: rows of 20 features, as our predictor's batches and as the events of KServe's logger."""

import http.client
import itertools
import json
import socket
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import msgspec
import numpy as np

from loopwright.statistics.profile import Kind, Profile

LOOP = "bench"
FEATURES = 20
CATEGORIES = 4
"""Of the features; the others are numbers."""
BATCH = 1000
CONNECTIONS = 5
"""As many as KServe's logger has workers, each with one event under way."""
VALUES = np.array(["a", "b", "c", "d", "e"], dtype=object)


def draw(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    """Columns of so many rows."""
    numbers = {f"n{at:02}": rng.normal(size=rows) for at in range(FEATURES - CATEGORIES)}
    return numbers | {f"c{at}": rng.choice(VALUES, rows) for at in range(CATEGORIES)}


def profile(rows: int = 10_000) -> Profile:
    """The reference."""
    rng = np.random.default_rng(1)
    columns = draw(rng, rows)
    kinds: dict[str, Kind] = {name: "number" if name.startswith("n") else "category" for name in columns}
    return Profile.build(LOOP, "classification", ["no", "yes"], columns, kinds, rng.beta(2, 5, rows))


def batches(number: int) -> list[bytes]:
    """Messages of BATCH rows, as the predictor packs them."""
    rng, made = np.random.default_rng(2), []
    for at in range(number):
        columns = {
            name: values.tobytes() if values.dtype.kind == "f" else values.tolist()
            for name, values in draw(rng, BATCH).items()
        }
        ids = [f"{at}-{row}" for row in range(BATCH)]
        content = {"version": "1", "ids": ids, "at": 0.0, "columns": columns}
        made.append(msgspec.msgpack.encode({**content, "predictions": rng.beta(2, 5, BATCH).tobytes()}))
    return made


def events(number: int, path: str, protocol: str = "v1") -> list[bytes]:
    """Whole HTTP requests with the headers that KServe's logger sends: request, response, request, response, ..."""
    rng, made = np.random.default_rng(3), []
    columns = {name: values.tolist() for name, values in draw(rng, number).items()}
    began = datetime.now(UTC)
    for at, (row, prediction) in enumerate(
        zip(zip(*columns.values(), strict=True), rng.beta(2, 5, number), strict=True)
    ):
        if protocol == "v1":
            bodies = {"request": {"instances": [row]}, "response": {"predictions": [prediction]}}
        else:
            kinds = ["FP64" if name.startswith("n") else "BYTES" for name in columns]
            tensors = [
                {"name": name, "shape": [1], "datatype": kind, "data": [value]}
                for name, kind, value in zip(columns, kinds, row, strict=True)
            ]
            output = {"name": "probability", "shape": [1], "datatype": "FP64", "data": [prediction]}
            bodies = {"request": {"inputs": tensors}, "response": {"outputs": [output]}}
        for half, content in bodies.items():
            body = json.dumps(content).encode()
            # What is another with each event: the moment, to Go's nanoseconds, and the trace.
            moment = f"{began + timedelta(milliseconds=at):%Y-%m-%dT%H:%M:%S.%f}789Z"
            head = (
                f"POST {path} HTTP/1.1\r\nHost: monitor:9090\r\nUser-Agent: Go-http-client/1.1\r\n"
                f"Content-Length: {len(body)}\r\nCe-Component: predictor\r\nCe-Endpoint: default\r\n"
                f"Ce-Id: 2f1c7b1e-7b52-4f6a-9d0e-{at:012d}\r\nCe-Inferenceservicename: bench\r\nCe-Metadata: {{}}\r\n"
                f"Ce-Namespace: models\r\nCe-Recordedtime: {moment}\r\n"
                "Ce-Source: http://localhost:9081/\r\nCe-Specversion: 1.0\r\n"
                f"Ce-Time: {moment}\r\nCe-Type: org.kubeflow.serving.inference.{half}\r\n"
                "Content-Type: application/json\r\n"
                f"Traceparent: 00-4bf92f3577b34da6a3ce{at:012d}-00f067aa0ba902b7-00\r\n"
                "Accept-Encoding: gzip\r\n\r\n"
            )
            made.append(head.encode() + body)
    return made


def send_batches(url: str, bodies: Sequence[bytes], number: int) -> None:
    """POST so many messages, again and again the same ones; raises ValueError for an answer that is not 202."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    for body in itertools.islice(itertools.cycle(bodies), number):
        # What is full says so, and is asked again.
        while True:
            connection.request("POST", "/v1/events", body)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 202:
                break
            if answer.status != 503:
                raise ValueError(f"the monitor answered {answer.status}")
    connection.close()


def send_events(url: str, requests: Sequence[bytes]) -> None:
    """Send each once, over CONNECTIONS connections that each wait for the answer; raises ValueError for a refusal."""
    host, port = urlsplit(url).netloc.split(":")
    connections = [socket.create_connection((host, int(port)), timeout=60) for _ in range(CONNECTIONS)]
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for group in _groups(requests):
        pairs = list(zip(connections, group, strict=False))
        for connection, request in pairs:
            connection.sendall(request)
        for connection, _ in pairs:
            answer = connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 2"):
                raise ValueError(f"the event was answered {answer[:200]!r}")
            while not _whole(answer):
                answer += connection.recv(65536)
    for connection in connections:
        connection.close()


def _whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    length = next(
        (line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b"0"
    )
    return bool(found) and len(body) >= int(length)


def _groups(requests: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (requests[at : at + CONNECTIONS] for at in range(0, len(requests), CONNECTIONS))
