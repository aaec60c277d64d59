"""`loopwright up` with the real parts: Envoy, the predictor, the monitor and the trigger, as a user meets them."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from loopwright import declaration, settings
from loopwright.files import write_json
from loopwright.registry import Registry
from loopwright.rollout.states import FileStates
from loopwright.steps.evaluate import evaluate
from loopwright.steps.register import register
from loopwright.steps.snapshot import snapshot
from loopwright.steps.split import split
from loopwright.steps.train import train
from loopwright.steps.validate import validate

from .conftest import Command, end, wait_for

# `make demo` is the test of `up` that everybody runs.
pytestmark = [pytest.mark.slow, pytest.mark.long]

ROW = {"age": 70, "spend": 12.5, "plan": "basic"}
AGE = {"name": "age", "shape": [1], "datatype": "INT64", "data": [70]}
SPEND = {"name": "spend", "shape": [1], "datatype": "FP64", "data": [12.5]}
PLAN = {"name": "plan", "shape": [1], "datatype": "BYTES", "data": ["basic"]}


def register_version(folder: Path, work: Path) -> int:
    """One version, by the pipeline's steps themselves; returns its number."""
    loop, state = declaration.load(folder), settings.prepare(settings.read(folder, {}))
    work.mkdir()
    taken = snapshot(loop, folder, state.snapshots, work / "rows", state.clock.now())
    validate(loop, work / "rows", work / "valid", work / "aside", work / "report")
    split(loop, work / "valid", work / "training", work / "holdout")
    train(loop, "", work / "training", work / "holdout", work / "model")
    judged = evaluate(loop, Registry(state), work / "model", work / "holdout")
    write_json(work / "evaluation", judged)
    tags = {"run": "by the test", "entry": "1", "snapshot": taken["id"]}
    facts = register(loop, Registry(state), work / "model", work / "evaluation", work / "training", tags)
    assert facts["version"] is not None, judged["gates"]
    return int(facts["version"])


class Up:
    """A loop that is up: the command in its folder, its process and its gateway."""

    def __init__(self, loopwright: Command) -> None:
        self.loopwright = loopwright
        self.process = loopwright.start("up", "--port", "0", "--no-mlflow")
        try:
            status = wait_for(self.status, "it is up")
            self.gateway = status["endpoints"]["gateway"]
        except BaseException:
            end(self.process)
            raise

    def status(self) -> Any:
        """status.json, once everything that was wanted serves."""
        assert self.process.poll() is None, self.process.communicate()[0]
        kinds = [entry["kind"] for entry in self.loopwright.json("history")]
        path = self.loopwright.folder / ".loopwright" / "live" / "status.json"
        return json.loads(path.read_text()) if "started" in kinds else None

    def post(self, path: str, body: Any) -> httpx.Response:
        """A request to the gateway; a body that is text is sent as it is."""
        content = body if isinstance(body, str) else json.dumps(body)
        return httpx.post(f"{self.gateway}{path}", content=content, timeout=30, trust_env=False)

    def predict(self) -> httpx.Response:
        """One row, V1."""
        return self.post("/v1/models/small:predict", {"instances": [ROW]})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, small_rows: pd.DataFrame, small_declaration: str) -> Iterator[Up]:
    """The small loop with one version, up; what the first rollout says without `up` is tried on the way."""
    folder = tmp_path_factory.mktemp("up") / "small"
    folder.mkdir()
    (folder / declaration.FILE).write_text(small_declaration)
    small_rows.to_csv(folder / "rows.csv", index=False)
    assert register_version(folder, folder.parent / "first") == 1
    loopwright = Command(folder)
    refused = loopwright("rollout")
    assert refused.returncode == 10
    assert "nothing serves small: `loopwright up` is not running" in refused.stderr
    up = Up(loopwright)
    try:
        unanswered = up.predict()
        assert (unanswered.status_code, "small" in unanswered.text) == (503, True)
        taken = loopwright("rollout")
        assert taken.returncode == 0, taken.stderr
        assert "version 1 is the champion" in taken.stdout
        yield up
    finally:
        if up.process.poll() is None:
            end(up.process)
        loopwright.stop()


def test_it_answers_with_the_version_and_the_id_it_was_given(served: Up) -> None:
    answer = httpx.post(
        f"{served.gateway}/v1/models/small:predict",
        json={"instances": [ROW]},
        headers={"X-Request-Id": "mine"},
        trust_env=False,
    )
    body = answer.json()
    assert answer.status_code == 200
    assert (body["model_version"], body["id"], answer.headers["x-model-version"]) == ("1", "mine", "1")
    assert body["predictions"][0]["class"] in ("Yes", "No")
    assert sum(body["predictions"][0]["probabilities"].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("path", "body", "code", "message"),
    [
        ("/v1/models/small:predict", {"instances": [{**ROW, "agee": 1}]}, 400, 'column "agee" is unknown'),
        ("/v1/models/small:predict", {"instances": [{"age": 70}]}, 400, 'column "spend" is missing'),
        ("/v1/models/small:predict", {"instances": [{**ROW, "age": "old"}]}, 400, 'the text "old"; expected a number'),
        ("/v1/models/small:predict", '{"instances": [', 400, "Unrecognized request format: unexpected end"),
        ("/v1/models/small:predict", {"instances": [ROW] * 10_001}, 413, "found 10001 rows; expected at most 10000"),
        ("/v1/models/smal:predict", {"instances": [ROW]}, 404, "smal"),
        ("/v2/models/small/infer", {"inputs": [AGE]}, 400, 'column "spend" is missing'),
    ],
)
def test_a_bad_request_is_answered_with_what_was_found_and_expected(
    served: Up, path: str, body: Any, code: int, message: str
) -> None:
    answer = served.post(path, body)
    assert answer.status_code == code, answer.text
    assert message in answer.json()["error"]


def test_a_second_up_and_a_port_in_use_are_refused(served: Up) -> None:
    second = served.loopwright("up", "--port", "0")
    assert second.returncode == 7
    assert f"small is up already, as process {served.process.pid}" in second.stderr
    port = served.gateway.rpartition(":")[2]
    serve = served.loopwright("serve", "--http-port", port, "--grpc-port", "1")
    assert serve.returncode == 9
    assert f"port {port} on 127.0.0.1 cannot be used" in serve.stderr


def test_the_champion_cannot_be_rolled_out_again_and_an_unknown_version_is_named(served: Up) -> None:
    again = served.loopwright("rollout")
    assert again.returncode == 10
    assert "takes all the traffic already" in again.stderr
    unknown = served.loopwright("rollout", "--version", "9")
    assert unknown.returncode == 8
    assert "small has no version 9; expected a registered one (1)" in unknown.stderr


def test_a_killed_predictor_is_answered_503_and_told_by_status_and_comes_back(
    served: Up, until: Callable[..., Any]
) -> None:
    before = served.loopwright.json("status")["predictors"]["1"]
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: served.predict().status_code == 503, "Envoy answers that the predictor is gone")
    broken = until(lambda: (one := served.loopwright.json("status"))["problems"] and one, "status says so")
    assert "1" in json.dumps(broken["problems"])
    until(lambda: served.predict().status_code == 200, "it comes back")
    after = served.loopwright.json("status")["predictors"]["1"]
    assert (after["state"], after["restarts"]) == ("ready", before["restarts"] + 1)
    assert after["pid"] != before["pid"]


@pytest.fixture(scope="module")
def challenger(served: Up) -> int:
    """A second version, registered."""
    folder = served.loopwright.folder
    return register_version(folder, folder.parent / "second")


@pytest.fixture
def waiting(served: Up, challenger: int, until: Callable[..., Any]) -> "Iterator[subprocess.Popen[str]]":
    """A rollout that was started paused, in a process of its own, which waits for a person; it ends with the test."""
    process = served.loopwright.start("rollout", "--paused")
    states = FileStates(served.loopwright.folder / ".loopwright" / "live")

    def waits() -> bool:
        assert process.poll() is None, process.communicate()[0]
        saved = states.load()
        return saved is not None and saved.phase == "stepping"

    try:
        until(waits, "the challenger is ready")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_without_a_rollout_there_is_nothing_to_see_or_to_tell(served: Up) -> None:
    assert served.loopwright.json("rollout", "status") is None
    nothing = served.loopwright("rollout", "pause")
    assert (nothing.returncode, "no rollout of small is under way" in nothing.stderr) == (10, True)


def test_a_rollout_is_seen_and_aborted_from_another_process(
    served: Up, challenger: int, waiting: "subprocess.Popen[str]"
) -> None:
    process = waiting
    found = served.loopwright.json("rollout", "status")
    assert (found["version"], found["champion"], found["strategy"]) == (challenger, 1, "canary")
    assert found["weights"] == {"1": 100, "2": 0}
    assert found["paused"]["why"] == "started with --paused"
    assert "paused by" in served.loopwright("status").stdout
    second = served.loopwright("rollout")
    assert (second.returncode, f"process {process.pid} is rolling out version 2" in second.stderr) == (10, True)
    told = served.loopwright.json("rollout", "pause", "--reason", "lunch")
    assert (told["done"], told["running"]) == (True, True)
    ended = served.loopwright.json("rollout", "abort", "--reason", "not today")
    assert ended["promoted"] is False
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 11, output
    assert "aborted by" in output
    assert "not today" in output
    assert served.loopwright.json("rollout", "status") is None
    assert [entry["kind"] for entry in served.loopwright.json("history")][-2:] == ["rollout", "rolled_back"]


def test_a_rollout_that_nobody_runs_any_more_is_taken_over_to_be_aborted(
    served: Up, waiting: "subprocess.Popen[str]"
) -> None:
    waiting.kill()
    waiting.communicate()
    assert served.loopwright.json("rollout", "status")["running"] is False
    told = served.loopwright.json("rollout", "resume")
    assert (told["done"], told["running"]) == (False, False)
    assert served.loopwright.json("rollout", "abort")["promoted"] is False
    assert served.loopwright.json("status")["weights"] == {"1": 100}
    assert served.loopwright.json("rollout", "status") is None


SHADOW = """
rollout:
  strategy: shadow
  bake: 1s
  min_requests: 20
  steps: [100]
  analysis: {error_rate: {}, disagreement: {max: 0.2}}
"""


def test_a_shadow_rollout_pairs_the_answers_of_both_versions_to_one_request(
    served: Up, challenger: int, until: Callable[..., Any]
) -> None:
    declared = served.loopwright.folder / declaration.FILE
    before = declared.read_text()
    declared.write_text(before + SHADOW)
    process = served.loopwright.start("rollout")
    try:
        with httpx.Client(base_url=served.gateway, trust_env=False) as client:
            while process.poll() is None:
                assert client.post("/v1/models/small:predict", json={"instances": [ROW]}).is_success
                infer = {"inputs": [AGE, SPEND, PLAN]}
                assert client.post("/v2/models/small/infer", json=infer).is_success
    finally:
        process.kill()  # It has ended, unless a request failed.
        output, _ = process.communicate()
        declared.write_text(before)
    assert process.returncode == 0, output
    verdicts = [one["facts"] for one in served.loopwright.json("history") if one["kind"] == "verdict"]
    mirrored = next(one for one in verdicts if one["weight"] == 0 and one["verdict"] == "promote")
    found = mirrored["evidence"]["disagreement"]
    # Each version's monitor events come in batches, so that the newest requests wait for their other answer.
    assert found["pairs"] >= 20
    assert found["pairs"] > 0.3 * mirrored["requests"]
    assert (found["share"], mirrored["evidence"]["error_rate"]["challenger"]) == (0, 0)
    status = served.loopwright.json("status")
    assert (status["champion"], status["previous"], status["weights"]) == (2, 1, {"2": 100})
    assert served.predict().json()["model_version"] == "2"


def test_ctrl_c_ends_everything_and_the_ledger_says_so(served: Up, until: Callable[..., Any]) -> None:
    champion = served.loopwright.json("status")["champion"]
    output = end(served.process)
    assert served.process.returncode == 0, output
    assert "Traceback" not in output
    folder = str(served.loopwright.folder)
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert [line for line in listing.splitlines() if folder in line] == []
    assert [entry["kind"] for entry in served.loopwright.json("history")][-2:] == ["promoted", "stopped"]
    status = served.loopwright.json("status")
    assert (status["up"], status["champion"]) == (False, champion)
