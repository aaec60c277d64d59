"""Batch scoring with a registered version: killed and gone on with, in a bucket, and as the compiled pipeline."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest
from tests.integration import test_archive_s3 as s3_server

from loopwright.loop import Loop

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
binary = s3_server.binary
ROWS = 40_000


@pytest.fixture
def folder(loopwright: Any, small_folder: Path) -> Path:
    """The small loop with version 1 as champion, and rows to score in four files."""
    assert loopwright("run").returncode == 0
    assert loopwright("promote", "1", "--reason", "a test").returncode == 0
    random = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "customer": [f"c{row}" for row in range(ROWS)],
            "age": random.integers(18, 90, ROWS),
            "spend": random.gamma(2, 20, ROWS),
            "plan": random.choice(["basic", "premium"], ROWS),
        }
    )
    (small_folder / "in").mkdir()
    for at in range(4):
        frame.iloc[at::4].to_parquet(small_folder / "in" / f"{at}.parquet", index=False)
    return small_folder


def test_a_process_that_is_killed_is_gone_on_with_and_the_ledger_has_one_entry(loopwright: Any, folder: Path) -> None:
    command = [sys.executable, "-m", "loopwright.cli.main", "score", ".", "--input", "in", "--output", "out"]
    # Each partition waits for the test's word, so that the kill comes in the middle.
    code = textwrap.dedent("""
        import os, sys, time
        from loopwright.scoring import output
        put = output.Output.put
        def slow(self, name, content):
            put(self, name, content)
            while "parts/" in name and not os.path.exists("go"):
                time.sleep(0.05)
        output.Output.put = slow
        sys.argv = sys.argv[1:]
        from loopwright.cli.main import main
        main()
    """)
    environment = {name: value for name, value in os.environ.items() if name != "LOOPWRIGHT_STATE"}
    process = subprocess.Popen([sys.executable, "-c", code, *command[2:]], cwd=folder, env=environment)
    until = time.monotonic() + 120
    while not list((folder / "out" / "_loopwright" / "parts").glob("*.json")):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").glob("part-*")}
    assert len(before) == 1
    told = loopwright.json("score", "--input", "in", "--output", "out")
    assert told["totals"]["scored"] == ROWS
    assert {path: path.stat().st_mtime_ns for path in before} == before
    found = ds.dataset(folder / "out").to_table()["customer"].to_pylist()
    assert (len(found), len(set(found))) == (ROWS, ROWS)
    entries = loopwright.json("history")
    (scored,) = [one for one in entries if one["kind"] == "scored"]
    (registered,) = [one for one in entries if one["kind"] == "registered"]
    assert scored["cause"] == registered["number"]
    assert [one["kind"] for one in loopwright.json("lineage", "1")["later"]] == ["promoted", "scored"]


@pytest.fixture
def bucket(binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[s3_server.Server]:
    server = s3_server.Server(binary, tmp_path)
    for name, value in {**s3_server.KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "buckets" / "events").mkdir(parents=True, exist_ok=True)
    server.start()
    yield server
    server.stop()


@pytest.mark.usefixtures("bucket")
def test_a_bucket_is_scored_into_a_bucket(loopwright: Any, folder: Path, tmp_path: Path) -> None:
    (folder / "in").rename(tmp_path / "buckets" / "events" / "in")
    asked = ("score", "--input", "s3://events/in", "--output", "s3://events/out")
    told = loopwright.json(*asked)
    assert (told["state"], told["totals"]["scored"], len(told["partitions"])) == ("complete", ROWS, 4)
    assert loopwright.json(*asked)["job"] == told["job"]
    found = ds.dataset(tmp_path / "buckets" / "events" / "out").to_table()
    assert found.num_rows == ROWS
    refused = loopwright("score", "--input", "s3://events/in", "--output", "s3://events/in")
    assert refused.returncode == 14
    assert "is not empty" in refused.stderr


def test_the_compiled_pipeline_scores_each_share_in_a_task_of_its_own(folder: Path, small: Loop, root: Path) -> None:
    code = textwrap.dedent("""
        import json, sys, warnings
        import kfp
        from kfp import components
        warnings.filterwarnings("ignore")
        pipeline, loop, arguments = sys.argv[1:]
        kfp.local.init(runner=kfp.local.SubprocessRunner(use_venv=False), pipeline_root="artifacts")
        scoring = components.load_component_from_file(pipeline)
        scoring(loop=open(loop).read(), arguments=json.loads(arguments), pods=3)
    """)
    (folder / "loop.json").write_text(small.to_json())
    arguments = json.dumps(["--input", str(folder / "in"), "--output", str(folder / "out")])
    made = subprocess.run(
        [sys.executable, "-c", code, str(root / "pipelines" / "scoring.yaml"), "loop.json", arguments],
        cwd=folder, env=os.environ | {"LOOPWRIGHT_STATE": str(folder / ".loopwright")}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-3000:]
    manifest = json.loads((folder / "out" / "_loopwright" / "manifest.json").read_text())
    assert (manifest["state"], manifest["totals"]["scored"]) == ("complete", ROWS)
    assert ds.dataset(folder / "out").to_table().num_rows == ROWS
