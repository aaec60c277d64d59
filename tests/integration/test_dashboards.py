"""Every panel of every dashboard shows something: its queries are asked of a real Prometheus, which scrapes two
predictors and their monitor under traffic."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from loopwright import declaration
from loopwright.data import splits
from loopwright.durations import Clock
from loopwright.local import ports
from loopwright.models import bundle
from loopwright.observability import files, limits
from loopwright.steps.train import train

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not on PATH (Debian's package)"),
]
BOARDS = Path(__file__).parents[2] / "dashboards"
TOKEN = "for-this-test"
# What a person chooses at the top of a dashboard, and what Grafana fills in.
CHOSEN = {
    "loop": "small", "feature": "plan", "window": "30s", "__rate_interval": "10s", "__range": "30s",
}  # fmt: skip


class Processes(ExitStack):
    """Processes that end with the block, each with its log."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def start(self, name: str, *command: str) -> "subprocess.Popen[bytes]":
        log = self.enter_context((self.folder / f"{name}.log").open("wb"))
        # An hour of the loop passes in a few seconds, so that looks are half a second apart.
        environment = {**os.environ, "LOOPWRIGHT_TOKEN": TOKEN, "LOOPWRIGHT_SPEED": "360"}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)
        self.callback(process.wait, 20)
        self.callback(process.terminate)
        return process


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, small_declaration: str, small_rows: pd.DataFrame, until: Any
) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Asks a query, once the traffic and its labels have been scraped."""
    folder = tmp_path_factory.mktemp("dashboards")
    business = "{rows: {query: 'sum by (version) (increase(loopwright_predicted_rows_total[$over]))', over: 1h}}"
    loop = declaration.parse(
        f"{small_declaration}monitor: {{window: 15m, recent: 1h, min_events: 30, business: {business}}}\n"
    )
    rows = small_rows.assign(
        age=small_rows["age"].astype(int),
        spend=pd.to_numeric(small_rows["spend"]),
        seen=pd.to_datetime(small_rows["seen"]),
    )
    parts = [folder / f"{name}.parquet" for name in ("training", "holdout")]
    for part, path in zip(splits.split(rows, loop), parts, strict=True):
        part.to_parquet(path, index=False)
    train(loop, "", *parts, folder / "model")
    (folder / "loop.json").write_text(loop.to_json())
    monitor, first, second, own, *grpc = ports.free(6)
    python = (sys.executable, "-m")
    with Processes(folder) as processes, httpx.Client(trust_env=False, timeout=10) as client:
        processes.start("monitor", *python, "loopwright.monitor", "--loop", "loop.json", "--port", str(monitor))
        until(lambda: _answers(client, f"http://127.0.0.1:{monitor}/healthz"), "the monitor answers")
        for version, port in ((1, first), (2, second)):
            options = ["--bundle", "model", "--digest", bundle.digest(folder / "model"), "--name", "small"]
            options += ["--version", str(version), "--http-port", str(port), "--grpc-port", str(grpc[version - 1])]
            options += ["--monitor", f"http://127.0.0.1:{monitor}"]
            processes.start(f"predictor-{version}", *python, "loopwright.serving", *options)
        targets = [f"127.0.0.1:{port}" for port in (monitor, first, second)]
        (folder / "limits.yml").write_text(files.text({"groups": [limits.group(loop, Clock(360.0), {})]}))
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\n"
            "rule_files: [limits.yml]\n"
            f"scrape_configs: [{{job_name: pods, static_configs: [{{targets: {json.dumps(targets)}}}]}}]\n"
        )
        options = ["--config.file=prometheus.yml", "--storage.tsdb.path=data"]
        processes.start("prometheus", "prometheus", *options, f"--web.listen-address=127.0.0.1:{own}")
        for port in (first, second):
            until(
                lambda port=port: _answers(client, f"http://127.0.0.1:{port}/v2/health/ready"), "a predictor is ready"
            )
        until(lambda: _answers(client, f"http://127.0.0.1:{own}/-/ready"), "Prometheus is ready")

        def ask(query: str) -> list[dict[str, Any]]:
            answer = client.get(f"http://127.0.0.1:{own}/api/v1/query", params={"query": query})
            assert answer.status_code == 200, f"{query}: {answer.text}"
            found: list[dict[str, Any]] = answer.json()["data"]["result"]
            return found

        traffic(client, monitor, (first, second), rows, until, ask)
        yield ask


def traffic(
    client: httpx.Client, monitor: int, predictors: tuple[int, int], rows: pd.DataFrame, until: Any, ask: Any
) -> None:
    """Requests of both versions, some wrong ones, and labels, until all of it is in Prometheus twice."""
    began = time.monotonic()
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    labels: dict[str, str] = {}
    done = 0
    # Rates need samples some seconds apart.
    while time.monotonic() - began < 6 or not _seen(ask):
        assert time.monotonic() - began < 60, "the traffic did not reach Prometheus"
        row = rows.iloc[done % len(rows)]
        content = {"age": int(row["age"]), "spend": float(row["spend"]), "plan": row["plan"]}
        content = {name: None if value != value else value for name, value in content.items()}
        for number, port in enumerate(predictors):
            name = f"{done}-{number}"
            answer = client.post(
                f"http://127.0.0.1:{port}/v1/models/small:predict",
                json={"instances": [content] * (1 + 2 * (done % 3 == 0))},
                headers={"X-Request-Id": name},
            )
            assert answer.status_code == 200, answer.text
            for identifier in (name, f"{name}-0", f"{name}/0"):
                labels[identifier] = row["left"]
        wrong = {"instances": [{"age": "no number"}]}
        assert client.post(f"http://127.0.0.1:{predictors[0]}/v1/models/small:predict", json=wrong).status_code == 400
        done += 1
        if done % 50 == 0:
            body = {"labels": [{"id": name, "label": text} for name, text in labels.items()]}
            assert client.post(f"http://127.0.0.1:{monitor}/v1/labels", json=body, headers=bearer).is_success


def _seen(ask: Callable[[str], list[dict[str, Any]]]) -> bool:
    """Whether everything that comes late is there: a look, and labels that grow."""
    scores = ask("loopwright_drift_score") and ask("loopwright_drift_recent_score")
    return bool(scores and ask("increase(loopwright_label_loss_count[10s]) > 0"))


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).is_success
    except httpx.HTTPError:
        return False


def queries() -> list[Any]:
    """Every query of every panel, named by board and title."""
    found = []
    for path in sorted(BOARDS.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                name = f"{path.stem}: {panel['title']} {target['refId']}"
                found.append(pytest.param(target["expr"], id=name))
    return found


@pytest.mark.parametrize("query", queries())
def test_a_panel_shows_numbers(prometheus: Callable[[str], list[dict[str, Any]]], query: str) -> None:
    # The monitor looks at one version: which of two with as many requests is not said.
    chosen = CHOSEN | {"version": prometheus("loopwright_drift_score")[0]["metric"]["version"]}
    filled = re.sub(r"\$(\w+)", lambda found: chosen[found[1]], query)
    values = [float(one["value"][1]) for one in prometheus(filled)]
    assert values, f"no data: {filled}"
    assert any(math.isfinite(value) for value in values), f"{values}: {filled}"
