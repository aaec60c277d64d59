"""The loop on a cluster, closed: the chart's trigger takes an alarm, trains in its pod, and submits a Workflow, whose
pods compare the new version with the champion on copied and then on real requests, and make it the champion.

KServe is its own controller where that is installed, else the stand-in of tests/standins (tests/e2e/conftest.py).
"""

import importlib.util
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"closed_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[f"closed_{name}"] = made
    spec.loader.exec_module(made)
    return made


parts, install, load = _module("conftest"), _module("test_install"), _module("load")
kubectl, until = parts.kubectl, parts.until


def volume(namespace: str, claim: str, home: Path, mode: str) -> list[dict[str, Any]]:
    """A claim on a folder of the machine."""
    folder = home / claim
    folder.mkdir(parents=True)
    folder.chmod(0o777)  # the pods' user is another
    size = {"storage": "1Gi"}
    name = f"{namespace}-{claim}"
    common: dict[str, Any] = {"accessModes": [mode], "storageClassName": ""}
    place = {"claimRef": {"namespace": namespace, "name": claim}, "hostPath": {"path": str(folder)}}
    wanted = {"volumeName": name, "resources": {"requests": size}}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": common | {"capacity": size} | place,
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": namespace},
            "spec": common | wanted,
        },
    ]


@pytest.fixture
def namespace(gateway_address: str) -> Iterator[str]:
    for command in ("helm",):
        if shutil.which(command) is None:
            parts.missing(f"{command} is not on PATH")
    crd = ["kubectl", "get", "crd", "workflowtemplates.argoproj.io"]
    if subprocess.run(crd, capture_output=True, timeout=60).returncode != 0:
        parts.missing("Argo Workflows is not on this cluster")
    name = f"loopwright-closed-{time.time_ns() % 10**8}"
    home = parts.MODELS / name
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    items = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}]
    items += volume(name, "loop-state", home, "ReadWriteMany") + volume(name, "small-models", home, "ReadWriteMany")
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    stand_in = parts._stand_in(name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
    kubectl("delete", "persistentvolume", f"{name}-loop-state", f"{name}-small-models", "--wait=false")
    if stand_in is not None:
        stand_in.terminate()
        stand_in.wait(30)
    shutil.rmtree(home, ignore_errors=True)


def test_an_alarm_becomes_a_champion_by_a_workflow_and_no_request_fails(
    namespace: str, gateway_address: str, tmp_path: Path, small_rows: pd.DataFrame, small_declaration: str
) -> None:
    small_rows.to_csv(tmp_path / "rows.csv", index=False)
    serving = parts.serving("shadow", "  steps: [20, 50]", analysis="disagreement: {max: 0.5}")
    declaration = tmp_path / "loop.yaml"
    declaration.write_text(small_declaration.replace("source: rows.csv", "source: /state/rows.csv") + serving)
    values = "rollouts.enabled=true,rollouts.modelsClaim=small-models,persistence.enabled=true"
    values += f",persistence.existingClaim=loop-state,image.tag={parts.TAG}"
    files = ["--set-file", f"loop.declaration={declaration}", "--set", values]
    install.helm(namespace, "install", install.CHART, *files, "--wait", "--timeout", "3m")

    def loopwright(*arguments: str) -> str:
        return kubectl("-n", namespace, "exec", install.TRIGGER, "--", "loopwright", *arguments)

    shutil.copy(tmp_path / "rows.csv", parts.MODELS / namespace / "loop-state" / "rows.csv")
    loopwright("run", "/loop")
    # The first version is a person's: what the trigger may do does not make services.
    loopwright("publish", "/loop")
    manifests = loopwright("render", "/loop", "--to", "-", "--namespace", namespace)
    kubectl("-n", namespace, "apply", "-f", "-", stdin=manifests)
    host = f"small-{namespace}.example.com"
    service = "inferenceservices.serving.kserve.io/small"
    kubectl("-n", namespace, "wait", "--for=condition=Ready", service, "--timeout=120s")
    assert "the champion" in loopwright("rollout", "/loop", "--version", "1", "--workflow")

    with load.Load(gateway_address, host, "small", rate=30) as steady:
        with install.trigger(namespace) as client:
            alert = json.loads(json.dumps(install.alert("1")).replace('"churn"', '"small"'))
            status, answer = client.call("/v1/alerts", alert)
            assert (status, answer["causes"][0]["action"]) == (200, "start"), answer

        def story() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = json.loads(loopwright("history", "/loop", "--json"))
            return found

        until(
            lambda: {"promoted", "rolled_back"} & {entry["kind"] for entry in story()[_first(story()) :]},
            500,
            "the end of version 2's rollout",
        )
    log = kubectl("-n", namespace, "logs", install.TRIGGER)
    kinds = [entry["kind"] for entry in story()]
    assert kinds[-1] == "promoted", (kinds, log)
    assert steady.seen.failures == []
    for protocol, answers in steady.seen.answers.items():
        assert set(answers) == {"1", "2"}, protocol
    # What happened can be read, with its cause, and nobody has changed it.
    entries = {entry["number"]: entry for entry in story()}
    entry, path = entries[max(entries)], []
    while entry is not None:
        path.append(entry["kind"])
        entry = entries.get(entry["cause"])
    assert path[-1] == "alarm"
    assert {"decision", "run", "registered", "rollout", "verdict"} <= set(path)
    assert "the ledger verifies" in loopwright("audit", "verify", "/loop")
    # Copied requests were compared, prediction by prediction.
    shadowed = [one for one in entries.values() if one["kind"] == "verdict" and one["facts"]["weight"] == 0]
    assert shadowed[-1]["facts"]["evidence"]["disagreement"]["known"] is True


def _first(entries: list[dict[str, Any]]) -> int:
    """Where the alarm is among the entries."""
    return next((at for at, entry in enumerate(entries) if entry["kind"] == "alarm"), len(entries))
