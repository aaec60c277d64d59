"""`loopwright drift`, of what a real monitor says after its looks."""

import http.server
import json
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from click.testing import CliRunner

from loopwright import declaration
from loopwright.cli.drift import drift
from loopwright.durations import Clock
from loopwright.monitor.state import Monitor
from loopwright.statistics.profile import Profile


def rows(n, *, shift=0.0, seed=0):
    random = np.random.default_rng(seed)
    return {"age": random.normal(40 + shift, 9, n), "plan": random.choice(["basic", "premium"], n).astype(object)}


@pytest.fixture
def monitor(churn_declaration):
    loop = declaration.parse(churn_declaration + "monitor: {window: 1h, min_events: 300, persistence: 1}")
    made = Monitor(loop, Clock(), lambda body: None)
    random = np.random.default_rng(1)
    kinds = {"age": "number", "plan": "category"}
    profile = Profile.build("churn", "classification", ("No", "Yes"), rows(5000), kinds, random.random(5000))
    made.counters.put("3", profile, 0.0)
    return made


@pytest.fixture
def served(monitor) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(monitor.drift()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def call(churn_declaration, tmp_path, served):
    (tmp_path / "loop.yaml").write_text(churn_declaration)

    def run(*arguments, url=served):
        return CliRunner().invoke(drift, [str(tmp_path), "--monitor", url, *arguments])

    return run


def counted(monitor, n, shift):
    """Eight looks: after six of them it is known whether events repeat, and before nothing has drifted."""
    columns, predictions = rows(n, shift=shift, seed=2), np.random.default_rng(3).random(n)
    for part in range(8):
        some = {name: values[part::8] for name, values in columns.items()}
        monitor.counters.add("3", some, predictions[part::8], 1.0)
        monitor.look(1.0)


def test_what_has_drifted_comes_first_with_its_numbers(call, monitor):
    counted(monitor, 2000, shift=9.0)
    shown = call()
    assert shown.exit_code == 0, shown.output
    head, _, first, *rest = shown.output.splitlines()
    assert "churn version 3  alarm  2,000 predictions in 1h" in head
    assert first.startswith("age")
    assert "█" in first
    assert "1970-01-01 00:00" in first
    assert {line.split()[0] for line in rest} == {"plan", "prediction", "predicted_class"}
    assert call("--top", "1").output.splitlines()[3:] == []


def test_before_a_look_and_with_too_few_predictions_it_says_what_is_needed(call, monitor):
    assert "has not looked at anything yet; a look needs 300 predictions in 1h" in call().output
    counted(monitor, 20, shift=9.0)
    assert "too few: 20 of 300 predictions in 1h" in call().output


def test_a_program_reads_the_look_itself(call, monitor):
    counted(monitor, 2000, shift=0.0)
    assert json.loads(call("--json").output) == json.loads(json.dumps(monitor.drift()))


def test_what_is_sudden_has_a_line_of_its_own(churn_declaration, tmp_path, served, monitor):
    made = declaration.parse(churn_declaration + "monitor: {window: 1h, min_events: 300, persistence: 1, recent: 4h}")
    recent = Monitor(made, Clock(), lambda body: None)
    recent.counters.put("3", monitor.counters.versions["3"].profile, 0.0)
    monitor.drift = recent.drift
    for number in range(60):
        columns = rows(200, shift=0.0 if number < 55 else 18.0, seed=number)
        recent.counters.add("3", columns, np.random.default_rng(number).random(200), 0.0)
        recent.look(360.0 * number)
    (tmp_path / "loop.yaml").write_text(churn_declaration)
    result = CliRunner().invoke(drift, [str(tmp_path), "--monitor", served])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("age")]
    assert sorted(line.split("  ")[0] for line in lines) == ["age", "age, sudden"]
    assert all("1970-01-01 05:" in line for line in lines)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "no url", "http://["])
def test_a_monitor_that_does_not_answer_is_an_error_in_words(call, url):
    from loopwright.errors import ServingError

    failed = call(url=url)
    assert isinstance(failed.exception, ServingError)
    assert f"the monitor at {url} does not answer" in str(failed.exception)


def test_a_loop_that_is_not_up_says_how_to_begin(churn_declaration, tmp_path):
    (tmp_path / "loop.yaml").write_text(churn_declaration)
    failed = CliRunner().invoke(drift, [str(tmp_path)])
    assert "churn is not up on this machine" in str(failed.exception)
