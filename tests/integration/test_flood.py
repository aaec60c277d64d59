"""A flood above capacity: a real predictor and monitor, where predictions go on and what is dropped is counted."""

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pandas as pd
import pytest

from loopwright import declaration
from loopwright.data import splits
from loopwright.local import ports
from loopwright.models import bundle
from loopwright.steps.train import train

pytestmark = pytest.mark.long
TOKEN = "for-this-test"
ROW = {"age": 40, "spend": 30.0, "plan": "basic"}


class House:
    """A predictor of version 1 and its monitor, as processes."""

    def __init__(self, folder: Path, declared: str, rows: pd.DataFrame, until: Callable[..., Any]) -> None:
        self.folder, self.processes = folder, list[subprocess.Popen[bytes]]()
        loop = declaration.parse(declared + "monitor: {window: 1h}\n")
        typed = rows.assign(
            age=rows["age"].astype(int), spend=pd.to_numeric(rows["spend"]), seen=pd.to_datetime(rows["seen"])
        )
        parts = [folder / f"{name}.parquet" for name in ("training", "holdout")]
        for part, path in zip(splits.split(typed, loop), parts, strict=True):
            part.to_parquet(path, index=False)
        train(loop, "", *parts, folder / "model")
        (folder / "loop.json").write_text(loop.to_json())
        monitor, predictor, grpc = ports.free(3)
        self.monitor, self.predictor = (f"http://127.0.0.1:{port}" for port in (monitor, predictor))
        self.client = httpx.Client(trust_env=False, timeout=30)
        self.watching = self._start("loopwright.monitor", "--loop", "loop.json", "--port", str(monitor))
        self._start(
            "loopwright.serving", "--bundle", "model", "--digest", bundle.digest(folder / "model"), "--name", "small",
            "--version", "1", "--http-port", str(predictor), "--grpc-port", str(grpc), "--monitor", self.monitor,
        )  # fmt: skip
        until(lambda: self._answers(f"{self.predictor}/v2/health/ready"), "the predictor is ready")
        until(lambda: self.total(self.predictor, "loopwright_events_dropped_total") == 0, "it has metrics")

    def _start(self, module: str, *options: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{module}.log").open("wb") as log:
            environment = {**os.environ, "LOOPWRIGHT_TOKEN": TOKEN}
            command = [sys.executable, "-m", module, *options]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)
        self.processes.append(process)
        return process

    def _answers(self, url: str) -> bool:
        try:
            return self.client.get(url).is_success
        except httpx.HTTPError:
            return False

    def total(self, url: str, metric: str, more: str = "") -> float:
        """The sum of a metric's series that have `more` in their labels."""
        lines = self.client.get(f"{url}/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(metric + "{") and more in line)

    def predict(self, rows: int = 1) -> tuple[float, list[float]]:
        """Seconds until so many equal rows were predicted, and the probabilities."""
        began = time.perf_counter()
        answer = self.client.post(f"{self.predictor}/v1/models/small:predict", json={"instances": [ROW] * rows})
        took = time.perf_counter() - began
        assert answer.status_code == 200, answer.text
        return took, [one["probability"] for one in answer.json()["predictions"]]

    def times(self, number: int) -> float:
        """The median of so many single predictions."""
        return statistics.median(self.predict()[0] for _ in range(number))

    def close(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(30)
        self.client.close()


@pytest.fixture
def house(
    tmp_path: Path, small_declaration: str, small_rows: pd.DataFrame, until: Callable[..., Any]
) -> Iterator[House]:
    made = House(tmp_path, small_declaration, small_rows, until)
    yield made
    made.close()


def test_a_monitor_that_takes_nothing_costs_events_which_are_counted_and_no_prediction(
    house: House, until: Callable[..., Any]
) -> None:
    _, expected = house.predict()
    house.times(100)
    calm = house.times(200)
    os.kill(house.watching.pid, signal.SIGSTOP)
    asked = 301
    # Five times as many as the predictor keeps.
    for _ in range(100):
        _, found = house.predict(1000)
        assert found == expected * 1000
        asked += 1000
    flooded = house.times(200)
    asked += 200
    assert house.total(house.predictor, "loopwright_events_dropped_total", 'reason="full"') >= 70_000
    # Both medians are of this machine in this minute; twice allows for its noise.
    assert flooded < 2 * calm + 0.001, f"{flooded * 1e3:.2f} ms beside {calm * 1e3:.2f} ms"

    os.kill(house.watching.pid, signal.SIGCONT)

    def counts() -> tuple[float, float, float]:
        dropped = house.total(house.predictor, "loopwright_events_dropped_total")
        sent = house.total(house.predictor, "loopwright_events_sent_total")
        return sent, dropped, house.total(house.monitor, "loopwright_events_total")

    until(lambda: sum(counts()[:2]) == asked, "what was predicted was sent or dropped")
    sent, _, counted = counts()
    # A message whose answer came too late for the predictor was sent again.
    assert sent <= counted <= sent + 10_000


def test_a_flood_of_the_monitor_is_refused_in_part_and_the_rest_counted_exactly(
    house: House, until: Callable[..., Any]
) -> None:
    _, expected = house.predict()
    until(lambda: house.total(house.monitor, "loopwright_events_total") == 1, "the profile is there")
    rows = 20_000
    rng = np.random.default_rng(1)
    content = {
        "version": "1",
        "ids": [f"p{number}" for number in range(rows)],
        "at": time.time(),
        "columns": {
            "age": rng.normal(40, 9, rows).tolist(),
            "spend": rng.gamma(2, 20, rows).tolist(),
            "plan": rng.choice(["basic", "premium"], rows).tolist(),
        },
        "predictions": rng.random(rows).tolist(),
    }
    message, statuses, over = msgspec.msgpack.encode(content), list[int](), threading.Event()

    def flood() -> None:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/msgpack"}
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not over.is_set():
                statuses.append(client.post(f"{house.monitor}/v1/events", content=message, headers=headers).status_code)

    threads = [threading.Thread(target=flood) for _ in range(24)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: statuses.count(503) >= 5, "the monitor refuses some")
        for _ in range(200):
            assert house.predict()[1] == expected
    finally:
        over.set()
        for thread in threads:
            thread.join()
    answers = Counter(statuses)
    assert set(answers) == {202, 503}
    assert house.total(house.monitor, "loopwright_events_rejected_total", "overflow") >= answers[503]
    until(lambda: house.total(house.predictor, "loopwright_events_sent_total") == 201, "the predictor's came through")
    total = 201 + rows * answers[202]
    until(lambda: house.total(house.monitor, "loopwright_events_total") == total, "what was accepted is counted")
