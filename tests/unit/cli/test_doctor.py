"""`loopwright doctor` as it is typed: what it prints, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loopwright.cli.doctor import doctor


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The client reads KUBECONFIG when it is imported.
    from kubernetes.config import kube_config

    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    for name in ("TOKEN", "LEDGER_URL", "REGISTRY_URI", "STATE", "PROMETHEUS_URL", "WORKFLOWS"):
        monkeypatch.delenv(f"LOOPWRIGHT_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


def asked(*arguments: str) -> tuple[int, Any]:
    answer = CliRunner().invoke(doctor, [*arguments, "--json"])
    return answer.exit_code, json.loads(answer.output)


def test_without_loop_and_cluster_it_looks_at_the_machine(small_folder: Path) -> None:
    code, told = asked("--port", "0")
    checks = {one["check"]: one["state"] for one in told["findings"]}
    assert code == 0, told
    assert {"python", "packages", "envoy", "ports", "disk"} < set(checks)
    assert checks["cluster"] == "note"


def test_a_cluster_that_is_asked_for_has_to_be_there() -> None:
    code, told = asked("--cluster")
    assert (code, told["state"]) == (1, "problem")
    (found,) = told["findings"]
    assert found["check"] == "cluster"
    assert "kubeconfig" in found["text"]
    assert found["do"] == "see that `kubectl get namespaces` answers"


def test_a_loop_whose_name_is_no_dns_label_is_a_finding(small_folder: Path) -> None:
    file = small_folder / "loop.yaml"
    file.write_text(file.read_text().replace("name: small", "name: Small_Loop"))
    code, told = asked(str(small_folder), "--machine")
    (found,) = [one for one in told["findings"] if one["check"] == "loop"]
    assert code == 1
    assert "metadata.name" in found["text"]
    assert "lower-case letters, digits and hyphens" in found["text"] + found["do"]


def test_a_loop_is_looked_at_by_its_stores(small_folder: Path) -> None:
    code, told = asked(str(small_folder), "--machine", "--port", "0")
    assert code == 0, told
    assert {"state", "ledger", "registry"} < {one["check"] for one in told["findings"]}


def test_a_setting_that_cannot_be_used_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPWRIGHT_GATEWAY", "istio")
    code, told = asked()
    assert code == 1
    assert told["findings"][-1]["check"] == "settings"


def test_with_strict_a_warning_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    from loopwright.doctor import machine

    monkeypatch.setattr(machine, "_there", lambda name: name != "kfp")
    assert asked("--machine", "--port", "0")[0] == 0
    assert asked("--machine", "--port", "0", "--strict")[0] == 1


def test_a_person_reads_what_to_do() -> None:
    answer = CliRunner().invoke(doctor, ["--cluster"])
    assert answer.exit_code == 1
    assert "problem  cluster: there is no cluster to talk to" in answer.output
    assert "-> see that `kubectl get namespaces` answers" in answer.output
    assert "1 problem, 0 warnings" in answer.output


def test_in_a_pod_the_machine_is_nobody_s_business(monkeypatch: pytest.MonkeyPatch, small_folder: Path) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    code, told = asked(str(small_folder), "--trigger", "http://127.0.0.1:1")
    checks = {one["check"]: one["state"] for one in told["findings"]}
    assert "envoy" not in checks
    assert checks["token"] == "warning"
    assert checks["cluster"] == "note", "a pod without rollouts has no service account's token"
    assert (code, checks["trigger"]) == (1, "problem")


def test_an_option_of_kfp_that_cannot_be_used_is_a_finding_and_the_cluster_s_other_checks_go_on(monkeypatch):
    from loopwright import settings
    from loopwright.cli.doctor import _engine, _kubeflow
    from loopwright.doctor.findings import collect

    monkeypatch.setenv("LOOPWRIGHT_KFP_RETRIES", "many")
    known = settings.read(Path("/nowhere"), {"LOOPWRIGHT_ENGINE": "kfp"})
    (found,) = collect([("kubeflow pipelines", lambda: _kubeflow(known))])
    assert "LOOPWRIGHT_KFP_RETRIES" in str(found)
    assert _engine(known, None) == []
