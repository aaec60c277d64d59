"""Pipelines and batch scoring on a real Argo, in a namespace that enforces the restricted pod security standard.

The chart's objects, the small loop, and ledger and registry as files on a claim of the node that the tests run on.
"""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from loopwright import cluster as clusters
from loopwright import declaration
from loopwright.cluster.argo import OF_WORKFLOW, WORKFLOW
from loopwright.cluster.objects import POD
from loopwright.engines import argo_objects, argo_scoring
from loopwright.engines.argo import ArgoEngine
from loopwright.engines.protocol import RunRequest, RunStatus
from loopwright.ledger import Ledger
from loopwright.loop import Loop
from loopwright.models import bundle
from loopwright.models import model as models

ROOT = Path(__file__).parents[2]
USER = 65532
"""Of the pods; the claim's folder is theirs."""

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]


def run(*command: str, stdin: str = "") -> str:
    answer = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, f"{' '.join(command)}: {answer.stderr}"
    return answer.stdout


@dataclass
class Place:
    """A namespace with the chart's training objects, and the small loop's ledger on its claim."""

    engine: ArgoEngine
    cluster: Any
    loop: Loop
    ledger: Ledger
    home: Path
    """The claims' folders on this machine, `state` and `rows`."""
    count: int = 0

    def request(self) -> RunRequest:
        """A run that is in the ledger, as every run is before it is submitted."""
        self.count += 1
        name = f"small-e2e-{self.count}"
        entry = self.ledger.append("small", "run", {"run": name, "engine": "argo", "by": "test"})
        return RunRequest(self.loop.to_json(), "small", Path("/loop"), "", name, entry.number)

    def kinds(self, run: str) -> list[str]:
        """The kinds of a run's entries."""
        return [entry.kind for entry in self.ledger.entries("small") if entry.facts.get("run") == run]


@pytest.fixture(scope="module")
def place(
    component: str, claimed: Callable[..., Any], small_rows: pd.DataFrame, small_declaration: str
) -> Iterator[Place]:
    if shutil.which("helm") is None:
        pytest.skip("helm is not on PATH")
    if subprocess.run(["kubectl", "get", "crd", "workflows.argoproj.io"], capture_output=True, timeout=60).returncode:
        pytest.skip("Argo Workflows is not on this cluster")
    namespace = f"loopwright-argo-{time.time_ns() % 10**8}"
    home = Path("/var/lib") / namespace
    state, rows = home / "state", home / "rows"
    for folder in (state, rows):
        folder.mkdir(parents=True)
    small_rows.to_csv(rows / "rows.csv", index=False)
    (state / "ledger.db").touch()
    for path in (state, state / "ledger.db"):
        os.chown(path, USER, USER)
    items = claimed(namespace, loopwright_state=state, rows=rows)
    run("kubectl", "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    tag = component.rpartition(":")[2]
    values = f"engine=argo,persistence.enabled=true,data.existingClaim=rows,training.image.tag={tag}"
    chart = ["helm", "template", "loopwright", str(ROOT / "helm/loopwright"), "--namespace", namespace]
    made = run(*chart, "--set", values, "--show-only", "templates/training.yaml")
    run("kubectl", "-n", namespace, "apply", "-f", "-", stdin=made)
    connected = clusters.connect(namespace)
    loop = declaration.parse(small_declaration.replace("source: rows.csv", "source: data/rows.csv"))
    yield Place(ArgoEngine(connected), connected, loop, Ledger(f"sqlite:///{state / 'ledger.db'}"), home)
    run("kubectl", "delete", "namespace", namespace, "--wait=false")
    for name in ("loopwright-state", "rows"):
        run("kubectl", "delete", "persistentvolume", f"{namespace}-{name}", "--wait=false")
    shutil.rmtree(home)


def pods(place: Place, name: str, step: str) -> list[Any]:
    """The names of a run's running pods of a template."""
    found = place.cluster.list(POD, f"{OF_WORKFLOW}={name}")
    running = [pod for pod in found if pod.get("status", {}).get("phase") == "Running"]
    return [pod["metadata"]["name"] for pod in running if f"-{step}-" in pod["metadata"]["name"]]


def test_two_that_submit_one_run_get_one_which_goes_through_though_a_pod_is_killed(place: Place) -> None:
    asked, killed, seen = place.request(), list[str](), list[RunStatus]()
    threads = [threading.Thread(target=place.engine.submit, args=[asked]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def kill(status: RunStatus) -> None:
        if not killed and status.steps[0].state == "succeeded" and (found := pods(place, asked.run, "train")):
            killed.extend(found)
            run("kubectl", "-n", place.cluster.namespace, "delete", "pod", found[0], "--grace-period=0", "--force")

    engine = ArgoEngine(place.cluster, pause=lambda _: (time.sleep(0.2), kill(place.engine.status(asked.run)))[0])
    status = engine.follow(asked.run, seen.append)
    assert killed
    assert (status.state, status.version, status.error) == ("succeeded", 1, None)
    assert [step.state for step in status.steps] == ["succeeded"] * 6
    assert len(seen) > 3, "its steps were told as they went"
    assert [one["metadata"]["name"] for one in place.cluster.list(WORKFLOW)] == [asked.run]
    kinds = place.kinds(asked.run)
    # What was killed may have told already that it had trained.
    assert list(dict.fromkeys(kinds)) == ["run", "snapshot", "validated", "split", "trained", "judged", "registered"]
    assert kinds.count("registered") == 1
    registered, chain = place.ledger.entries("small", kind="registered")[0], []
    number = registered.cause
    while number is not None:
        entry = place.ledger.get(number)
        chain.append(entry.kind)
        number = entry.cause
    assert chain == ["judged", "trained", "split", "validated", "snapshot", "run"]
    assert place.engine.submit(asked).state == "succeeded", "submitted after its end it is the same one"


def test_a_cancelled_run_leaves_no_pod_running_and_one_that_is_deleted_has_failed(place: Place) -> None:
    cancelled, deleted = place.request(), place.request()
    place.engine.submit(cancelled)
    assert place.engine.cancel(cancelled.run).state == "cancelled"
    assert not pods(place, cancelled.run, "prepare")
    place.engine.submit(deleted)
    gone: list[str] = []

    def delete(status: RunStatus) -> None:
        if status.state == "running" and not gone:
            gone.append(run("kubectl", "-n", place.cluster.namespace, "delete", "workflow", deleted.run))

    status = place.engine.follow(deleted.run, delete)
    assert (status.state, status.error) == ("failed", "its Workflow was deleted while it ran")


def test_a_step_s_error_comes_back_with_its_exit_code(place: Place) -> None:
    asked = place.request()
    loop = place.loop.model_copy(update={"data": place.loop.data.model_copy(update={"source": "data/gone.csv"})})
    place.engine.submit(RunRequest(loop.to_json(), "small", asked.folder, "", asked.run, asked.cause))
    status = place.engine.follow(asked.run, lambda _: None)
    assert (status.state, status.exit_code) == ("failed", 3)
    assert "there is no data at /loop/data/gone.csv" in str(status.error)


def test_a_job_scores_each_row_once_though_a_pod_is_killed(place: Place, small_rows: pd.DataFrame) -> None:
    rows = small_rows.drop(columns="left").assign(age=small_rows["age"].astype(int))
    rows["spend"] = pd.to_numeric(rows["spend"])
    lake = place.home / "rows" / "lake"
    lake.mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(rows)), 2)):
        rows.iloc[part].to_parquet(lake / f"part-{number}.parquet", index=False)
    asked = ["--input", "/loop/data/lake", "--output", "/state/scored/{date}"]
    scoring = argo_scoring.Scoring(place.loop, "1", asked, pods=2)
    name, killed = argo_scoring.submit(place.cluster, scoring, argo_objects.NAME), list[str]()
    deadline = time.monotonic() + 240
    while (phase := (place.cluster.get(WORKFLOW, name) or {}).get("status", {}).get("phase")) in (None, "", "Running"):
        assert time.monotonic() < deadline, f"{name} is {phase}"
        if not killed and (found := pods(place, name, "share")):
            killed.extend(found[:1])
            run("kubectl", "-n", place.cluster.namespace, "delete", "pod", found[0], "--grace-period=0", "--force")
        time.sleep(0.2)
    assert (phase, len(killed)) == ("Succeeded", 1)
    (output,) = (place.home / "state" / "scored").iterdir()
    scored = pq.read_table(sorted(output.glob("*.parquet"))).to_pandas().set_index("customer").loc[rows["customer"]]
    assert len(scored) == len(rows)
    # What the version itself says of the rows, without any of the job's code.
    (registered,) = (one for one in place.ledger.entries("small", kind="registered") if one.facts["version"] == 1)
    digest = registered.facts["digest"]
    bundles = {one.parent for one in (place.home / "state" / "artifacts").rglob(bundle.MANIFEST)}
    folder = next(one for one in bundles if bundle.digest(one) == digest)
    expected = models.load(folder, digest).predict({name: rows[name].to_numpy() for name in ("age", "spend", "plan")})
    np.testing.assert_allclose(scored["prediction"], expected, atol=1e-12, rtol=0)
    (told,) = place.ledger.entries("small", kind="scored")
    assert (told.facts["rows"], told.facts["version"]) == (len(rows), 1)
