"""A steady load on a served model, in a process of its own: V1 and V2 over HTTP, and V2 over gRPC, through a gateway.

Each protocol's requests begin at fixed moments, whether or not the answers to the former ones are there, so that a
gateway that stalls shows as late and failed requests and not as fewer. Nothing is tried twice. Until its standard input
is closed; then it writes what it saw as JSON.

    python tests/e2e/load.py --address 10.96.56.126:80 --host churn-default.example.com --model churn --rate 20
"""

import argparse
import asyncio
import json
import logging
import math
import os
import random
import subprocess
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

PROTOCOLS = ("v1", "v2", "grpc")
CONTENTS = {"BOOL": "bool_contents", "INT64": "int64_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents"}
TIMEOUT = 10.0


@dataclass
class Seen:
    """What the requests of a load came to."""

    answers: dict[str, dict[str, int]] = field(default_factory=dict)
    """Good answers, by protocol and by the version that answered."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """All others: when (seconds since the epoch), protocol, and what was the matter."""
    slowest: float = 0.0
    """Seconds that the slowest good answer took."""

    def total(self) -> int:
        """All good answers."""
        return sum(count for versions in self.answers.values() for count in versions.values())

    def of(self, version: int) -> int:
        """The good answers of a version."""
        return sum(versions.get(str(version), 0) for versions in self.answers.values())


class Load:
    """The load as a process; `seen` has its results when the block is left."""

    def __init__(
        self,
        address: str,
        host: str,
        model: str,
        *,
        rate: float,
        headers: dict[str, str] | None = None,
        rows: Path | None = None,
    ):
        self.seen = Seen()
        self._command = [sys.executable, str(Path(__file__)), "--address", address, "--host", host, "--model", model]
        self._command += ["--rate", str(rate), "--headers", json.dumps(headers or {})]
        self._command += [] if rows is None else ["--rows", str(rows)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Load":
        environment = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}
        pipe: Any = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True, env=environment)
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        assert first == "started\n", f"the load did not start: {first!r}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process is not None
        text, _ = self._process.communicate(timeout=TIMEOUT + 20)
        self.seen = Seen(**json.loads(text))


class Requests:
    """The three kinds of requests, all on one gateway; `kinds` has the datatype of each column."""

    def __init__(self, address: str, host: str, model: str, headers: dict[str, str], kinds: dict[str, str]) -> None:
        import grpc
        import httpx
        from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
        from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as services

        self._model, self._headers, self._messages, self._kinds = model, headers, messages, kinds
        # Straight to the gateway, whatever proxy the environment names.
        self._http = httpx.AsyncClient(
            base_url=f"http://{address}", headers={"host": host, **headers}, timeout=TIMEOUT, trust_env=False
        )
        options = [("grpc.default_authority", host), ("grpc.enable_http_proxy", 0)]
        self._channel = grpc.aio.insecure_channel(address, options=options)
        self._grpc = services.GRPCInferenceServiceStub(self._channel)

    async def close(self) -> None:
        await self._http.aclose()
        await self._channel.close()

    async def v1(self, row: dict[str, Any]) -> str:
        answer = await self._http.post(f"/v1/models/{self._model}:predict", json={"instances": [row]})
        answer.raise_for_status()
        assert len(answer.json()["predictions"]) == 1
        return answer.headers["x-model-version"]

    async def v2(self, row: dict[str, Any]) -> str:
        inputs = [
            {"name": name, "shape": [1], "datatype": self._kinds[name], "data": [value]} for name, value in row.items()
        ]
        answer = await self._http.post(f"/v2/models/{self._model}/infer", json={"inputs": inputs})
        answer.raise_for_status()
        assert answer.json()["outputs"][0]["shape"] == [1]
        return answer.headers["x-model-version"]

    async def grpc(self, row: dict[str, Any]) -> str:
        request = self._messages.ModelInferRequest(model_name=self._model)
        for name, value in row.items():
            kind = self._kinds[name]
            tensor = request.inputs.add(name=name, datatype=kind, shape=[1])
            # A number that is missing is NaN, where JSON has null.
            given = value.encode() if kind == "BYTES" else math.nan if value is None else value
            getattr(tensor.contents, CONTENTS[kind]).append(given)
        metadata = [(name.lower(), text) for name, text in self._headers.items()]
        answer = await self._grpc.ModelInfer(request, timeout=TIMEOUT, metadata=metadata)
        assert list(answer.outputs[0].shape) == [1]
        return str(answer.model_version)


def small_rows(count: int) -> list[dict[str, Any]]:
    """Rows of the small loop of tests/conftest.py."""
    choose = random.Random(1)
    return [
        {
            "age": choose.randint(18, 89),
            "spend": round(choose.gammavariate(2, 20), 2),
            "plan": choose.choice(["basic", "premium"]),
        }
        for _ in range(count)
    ]


def datatypes(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The datatype of each column, by the first value of it that is not missing."""
    names = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}
    return {name: names[type(next(row[name] for row in rows if row[name] is not None))] for name in rows[0]}


async def run(options: argparse.Namespace) -> Seen:
    lines = options.rows.read_text().splitlines() if options.rows else []
    rows = [json.loads(line) for line in lines] or small_rows(5000)
    requests = Requests(options.address, options.host, options.model, json.loads(options.headers), datatypes(rows))
    seen, stop = Seen(answers={protocol: Counter() for protocol in PROTOCOLS}), asyncio.Event()
    choose = random.Random(1)

    async def one(protocol: str) -> None:
        row = choose.choice(rows)
        began, clock = time.time(), time.monotonic()
        try:
            version = await getattr(requests, protocol)(row)
        except Exception as error:
            text = f"{type(error).__name__}: {error}".splitlines()
            seen.failures.append({"at": began, "protocol": protocol, "error": " ".join(text)[:300]})
        else:
            seen.answers[protocol][version] += 1
            seen.slowest = max(seen.slowest, time.monotonic() - clock)

    async def steady(protocol: str) -> None:
        under_way: set[asyncio.Task[None]] = set()
        began, count = time.monotonic(), 0
        while not stop.is_set():
            task = asyncio.create_task(one(protocol))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            count += 1
            await asyncio.sleep(max(0.0, began + count * len(PROTOCOLS) / options.rate - time.monotonic()))
        await asyncio.gather(*under_way)

    async def until_closed(stdin: IO[str]) -> None:
        await asyncio.to_thread(stdin.read)
        stop.set()

    print("started", flush=True)
    await asyncio.gather(until_closed(sys.stdin), *(steady(protocol) for protocol in PROTOCOLS))
    await requests.close()
    return seen


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second, of all three protocols together")
    parser.add_argument("--headers", default="{}")
    parser.add_argument("--rows", type=Path, help="a file of rows, a JSON object a line; those of the small loop")
    options = parser.parse_args()
    # KServe reads the command line while it is imported, and says much while it is.
    sys.argv = sys.argv[:1]
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    print(json.dumps(vars(asyncio.run(run(options)))))


if __name__ == "__main__":
    main()
