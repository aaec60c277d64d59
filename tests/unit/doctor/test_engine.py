"""Before a run is submitted: whether its engine answers, lets us in, and has what it makes runs by."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from loopwright.cli import doctor
from loopwright.doctor import engine, permissions
from loopwright.engines.kfp import KfpEngine, LedgerOutcomes, Options, binding
from loopwright.ledger import Ledger
from loopwright.rollout.kserve.cluster import Cluster
from loopwright.settings import read

ROOT = Path(__file__).parents[3]


@pytest.fixture
def backend() -> Iterator[Any]:
    """The stand-in of Kubeflow Pipelines' API."""
    spec = importlib.util.spec_from_file_location("doctor_kfp_stand_in", ROOT / "tests" / "standins" / "kfp.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    made = module.Backend().start()
    yield made
    made.stop()


def made(tmp_path: Path, **options: Any) -> KfpEngine:
    return KfpEngine(Options(**options), LedgerOutcomes(Ledger(f"sqlite:///{tmp_path}/ledger.db")))


def test_the_rules_are_those_of_the_roles_that_are_installed() -> None:
    text = (ROOT / "manifests" / "components" / "training-argo" / "rbac.yaml").read_text()
    roles = {one["metadata"]["name"]: one["rules"] for one in yaml.safe_load_all(text) if one["kind"] == "Role"}
    for name, rules in (
        ("loopwright-training-submit", permissions.SUBMIT),
        ("loopwright-training", permissions.TRAINING),
    ):
        installed = [(rule["apiGroups"][0], tuple(rule["resources"]), tuple(rule["verbs"])) for rule in roles[name]]
        assert sorted(installed) == sorted(rules)


def test_argo_lacks_a_permission_and_the_template(api: Any, cluster: Cluster) -> None:
    api.denied = {("create", "workflows")}
    rights, template = engine.argo(cluster, "loopwright-training")
    assert (rights.state, rights.text) == ("problem", "you may not create workflows in models")
    assert (template.state, template.check) == ("problem", "template loopwright-training")
    api.denied = set()
    api.put("workflowtemplates", "loopwright-training")
    assert [one.state for one in engine.argo(cluster, "loopwright-training")] == ["ok", "ok"]


def test_the_trigger_of_a_release_that_runs_on_argo_is_asked_for_what_it_submits_with(
    api: Any, cluster: Cluster
) -> None:
    for component in ("trigger", "training"):
        labels = {"part-of": "loopwright", "component": component, "instance": "prices"}
        metadata = {"labels": {f"app.kubernetes.io/{key}": value for key, value in labels.items()}}
        api.put("serviceaccounts", f"prices-{component}", metadata=metadata)
    api.denied = {("patch", "workflows"), ("create", "workflowtaskresults")}
    found = {one.check: one.text for one in permissions.accounts(cluster)}
    assert found == {
        "service account prices-trigger": "it may not patch workflows in models",
        "service account prices-training": "it may not create workflowtaskresults in models",
    }


def test_kubeflow_pipelines_that_answers_is_well(tmp_path: Path, backend: Any) -> None:
    (found,) = engine.kfp(made(tmp_path, host=backend.url))
    assert (found.state, found.text) == ("ok", f"{backend.url} answers, and lets us in")


def test_an_expired_token_for_kubeflow_pipelines_is_a_problem_and_is_not_shown(tmp_path: Path, backend: Any) -> None:
    backend.token = "a new token"
    (found,) = engine.kfp(made(tmp_path, host=backend.url, token="an old token"))
    assert found.state == "problem"
    assert "does not let us in (401)" in found.text
    assert "renew LOOPWRIGHT_KFP_TOKEN" in found.do
    assert "old token" not in found.text + found.do


def test_kubeflow_pipelines_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    (found,) = engine.kfp(made(tmp_path, host="http://127.0.0.1:9"))
    assert (found.state, "does not answer" in found.text) == ("problem", True)


def test_the_secret_of_the_steps_is_looked_for_where_they_run(api: Any, cluster: Cluster, tmp_path: Path) -> None:
    kfp = made(tmp_path, secret="churn", namespace="ada")
    (found,) = engine.kfp_secret(cluster, kfp)
    assert (found.state, found.text) == ("problem", "is missing in ada: the steps' pods do not start")
    secret = api.put("secrets", "churn", data={"ledger-url": "YQ=="})
    (found,) = engine.kfp_secret(cluster, kfp)
    assert (found.state, found.text) == ("problem", "has no key registry-uri in ada")
    secret["data"]["registry-uri"] = "YQ=="
    (found,) = engine.kfp_secret(cluster, kfp)
    assert found.state == "ok"
    api.refused = {"secrets": 403}
    (found,) = engine.kfp_secret(cluster, kfp)
    assert found.state == "note"


def test_a_step_whose_image_cannot_be_pulled_is_named(api: Any, cluster: Cluster, tmp_path: Path) -> None:
    kfp = made(tmp_path, namespace="ada")
    assert list(engine.kfp_pods(cluster, kfp)) == []
    labels = dict(one.split("=") for one in engine.STEPS.split(","))
    waiting = {"reason": "ImagePullBackOff", "message": "not found"}
    container = {"name": "main", "image": "registry/component:9", "state": {"waiting": waiting}}
    api.put("pods", "churn-train", metadata={"labels": labels}, status={"containerStatuses": [container]})
    (found,) = engine.kfp_pods(cluster, kfp)
    assert (found.check, found.state) == ("steps in ada", "problem")
    assert "the image registry/component:9 cannot be pulled: not found" in found.text


def test_the_labels_are_those_that_the_steps_get() -> None:
    (platform,) = binding._platform(["one"], Options())["platforms"].values()
    labels = platform["deploymentSpec"]["executors"]["one"]["podMetadata"]["labels"]
    assert labels == dict(one.split("=") for one in engine.STEPS.split(","))


def test_doctor_in_a_pod_looks_at_the_engine_of_its_settings(
    api: Any, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {}
    for kind in ("local", "argo", "kfp"):
        settings = read(tmp_path, {"LOOPWRIGHT_ENGINE": kind})
        monkeypatch.setenv("LOOPWRIGHT_KFP_SECRET", "churn")
        names[kind] = [name for name, _ in doctor._engine(settings, cluster)]
    assert names == {"local": [], "argo": ["engine argo"], "kfp": ["secret churn", "steps"]}
