"""KServe's own agent as the logger: it stands before a model on KServe's server and sends its CloudEvents to a monitor.

The agent is Go's `cmd/agent` of KServe: `go build -o kserve-agent ./cmd/agent` in its repository, on PATH.
"""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from loopwright.declaration import parse
from loopwright.local import ports
from loopwright.statistics.profile import Profile

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("kserve-agent") is None,
        reason="kserve-agent is not on PATH (docs/monitor.md says how it is built)",
    ),
]
TOKEN, PASSWORD = "for-this-test", "of-the-logger"
ROWS = [
    {"age": 20.0, "plan": "basic"},
    {"age": 40.0, "plan": "premium"},
    {"age": 60.0, "plan": "basic"},
]


@pytest.fixture(scope="module")
def profile():
    columns = {"age": np.repeat([20.0, 40.0, 60.0], 50), "plan": np.array(["basic", "premium"] * 75, dtype=object)}
    kinds = {"age": "number", "plan": "category"}
    predictions = np.repeat([0.2, 0.5, 0.6], 50)
    return Profile.build("churn", "classification", ["No", "Yes"], columns, kinds, predictions)


class House:
    """A model on KServe's server, the agent before it, and a monitor that knows version 3."""

    def __init__(self, folder, declaration, until, profile):
        self.folder, self.processes = folder, []
        model, agent, monitor = ports.free(3)
        self.agent, self.monitor = f"http://127.0.0.1:{agent}", f"http://127.0.0.1:{monitor}"
        (folder / "loop.json").write_text(parse(declaration + "monitor: {window: 1h}").to_json())
        self.client = httpx.Client(trust_env=False, timeout=20)
        self._start(
            "monitor", sys.executable, "-m", "loopwright.monitor", "--loop", "loop.json", "--port", str(monitor)
        )
        server = str(Path(__file__).with_name("kserve_model.py"))
        self._start("model", sys.executable, server, "--http_port", str(model))
        until(lambda: self._answers(f"{self.monitor}/healthz"), "the monitor answers")
        until(lambda: self._answers(f"http://127.0.0.1:{model}/v2/health/ready"), "the model answers", 60)
        self._start(
            "agent", "kserve-agent", "--port", str(agent), "--component-port", str(model),
            "--log-url", f"http://kserve:{PASSWORD}@127.0.0.1:{monitor}/v1/cloudevents/3",
            "--log-mode", "all", "--inference-service", "churn", "--namespace", "models", "--component", "predictor",
            "--endpoint", "default",
        )  # fmt: skip
        until(lambda: self._answers(f"{self.agent}/v2/health/ready"), "the agent answers")
        put = self.client.put(
            f"{self.monitor}/v1/profiles/3", content=profile.to_json(), headers={"Authorization": f"Bearer {TOKEN}"}
        )
        assert put.is_success, put.text

    def _start(self, name, *command):
        probe = {"tcpSocket": {"port": 1}, "periodSeconds": 1}
        environment = {
            **os.environ, "LOOPWRIGHT_TOKEN": TOKEN, "LOOPWRIGHT_EVENTS_PASSWORD": PASSWORD,
            "SERVING_READINESS_PROBE": json.dumps(probe), "NO_PROXY": "127.0.0.1",
        }  # fmt: skip
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder))

    def _answers(self, url):
        try:
            return self.client.get(url).is_success
        except httpx.HTTPError:
            return False

    def metrics(self):
        found = {}
        for line in self.client.get(f"{self.monitor}/metrics").text.splitlines():
            if not line.startswith("#"):
                name, _, number = line.rpartition(" ")
                found[name] = float(number)
        return found

    def close(self):
        for process in self.processes:
            # The agent would stay for half a minute, for Kubernetes to hear of its end.
            process.kill()
            process.wait()
        self.client.close()


@pytest.fixture
def house(tmp_path, churn_declaration, until, profile):
    made = House(tmp_path, churn_declaration, until, profile)
    yield made
    made.close()


def tensors(binary):
    """A V2 request of all rows, and its headers."""
    ages, plans = [row["age"] for row in ROWS], [row["plan"] for row in ROWS]
    inputs = [
        {"name": "age", "shape": [3], "datatype": "FP64", "data": ages},
        {"name": "plan", "shape": [3], "datatype": "BYTES", "data": plans},
    ]
    if not binary:
        return json.dumps({"id": "asked", "inputs": inputs}).encode(), {"Content-Type": "application/json"}
    parts = [struct.pack("<3d", *ages), b"".join(struct.pack("<I", len(plan)) + plan.encode() for plan in plans)]
    for tensor, part in zip(inputs, parts, strict=True):
        del tensor["data"]
        tensor["parameters"] = {"binary_data_size": len(part)}
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return head + b"".join(parts), headers


def test_what_kserve_s_logger_sends_of_both_protocols_is_counted_exactly(house, until, profile):
    def post(path, **content):
        answer = house.client.post(f"{house.agent}{path}", **content)
        assert answer.status_code == 200, answer.text
        return answer

    for _ in range(20):
        assert post("/v1/models/sure:predict", json={"instances": ROWS}).json()["predictions"] == [0.2, 0.5, 0.6]
    for binary in (False, True):
        body, headers = tensors(binary)
        for _ in range(20):
            answer = post("/v2/models/sure/infer", content=body, headers=headers)
        assert ("inference-header-content-length" in answer.headers) == binary
    wrong = house.client.post(f"{house.agent}/v1/models/sure:predict", json={"rows": []})
    assert wrong.status_code >= 400

    until(lambda: house.metrics().get('loopwright_events_total{loop="churn",version="3"}', 0) == 180, "all are counted")

    def halves():
        found = house.metrics()
        return [found[f'loopwright_cloudevents_total{{half="{half}"}}'] for half in ("response", "request")]

    # The questions for the agent's health are passed on as well; what was wrong has no response.
    until(lambda: halves()[0] >= 60 and halves()[1] == halves()[0] + 1, "all requests are read")
    found = house.metrics()
    assert {name for name, number in found.items() if name.startswith("loopwright_events_rejected") and number} == set()
    assert found['loopwright_outcomes_total{loop="churn",version="3",outcome="answered"}'] == 60
    ages = profile.features["age"].count(np.repeat([20.0, 40.0, 60.0], 60))
    plans = profile.features["plan"].count(np.repeat(["basic", "premium", "basic"], 60).astype(object))
    predictions = profile.count_predictions(np.repeat([0.2, 0.5, 0.6], 60))
    own = 'loop="churn",version="3"'
    for name, counts in (("age", ages), ("plan", plans)):
        for number, count in enumerate(counts):
            assert found[f'loopwright_feature_bin_total{{{own},feature="{name}",bin="{number}"}}'] == count
    for number, count in enumerate(predictions):
        assert found[f'loopwright_prediction_bin_total{{{own},bin="{number}"}}'] == count
