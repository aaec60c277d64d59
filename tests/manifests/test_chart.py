"""The chart: what it renders, and what it refuses."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from loopwright import declaration

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "loopwright"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def pod(objects: Any) -> Any:
    return objects["Deployment", "loopwright-trigger"]["spec"]["template"]["spec"]


def test_by_default_it_is_one_trigger_of_the_churn_example(helm: Any) -> None:
    objects = helm.template()
    assert sorted(objects) == [
        ("ConfigMap", "loopwright-loop"),
        ("Deployment", "loopwright-trigger"),
        ("Secret", "loopwright"),
        ("Service", "loopwright-trigger"),
        ("ServiceAccount", "loopwright-trigger"),
    ]
    files = objects["ConfigMap", "loopwright-loop"]["data"]
    assert files["loop.yaml"] == (ROOT / "examples/churn/loop.yaml").read_text()
    assert files["features.py"] == (ROOT / "examples/churn/features.py").read_text()
    assert all(one["metadata"]["namespace"] == "somewhere" for one in objects.values())


def test_a_token_is_made_up_and_is_long(helm: Any) -> None:
    tokens = [base64.b64decode(helm.template()["Secret", "loopwright"]["data"]["token"]) for _ in range(2)]
    assert all(len(token) == 40 for token in tokens)
    assert tokens[0] != tokens[1]


def test_an_own_declaration_takes_the_place_of_the_example(helm: Any, tmp_path: Any) -> None:
    text = (ROOT / "examples/churn/loop.yaml").read_text().replace("name: churn", "name: prices")
    text = text.replace("  features: features.py\n", "")
    (tmp_path / "loop.yaml").write_text(text)
    objects = helm.template("--set-file", f"loop.declaration={tmp_path / 'loop.yaml'}")
    files = objects["ConfigMap", "loopwright-loop"]["data"]
    assert declaration.parse(files["loop.yaml"]).name == "prices"
    assert list(files) == ["loop.yaml"], "the example's feature code is not another loop's"
    assert "/loop/features.py" not in [mount["mountPath"] for mount in pod(objects)["containers"][0]["volumeMounts"]]


def test_another_declaration_restarts_the_pod_and_the_same_one_does_not(helm: Any) -> None:
    def checksum(*arguments: str) -> str:
        template = helm.template("--set", "token=0123456789abcdef", *arguments)["Deployment", "loopwright-trigger"]
        return str(template["spec"]["template"]["metadata"]["annotations"])

    assert checksum() == checksum()
    assert checksum() != checksum("--set", "loop.features=x")


def test_an_existing_secret_and_config_map_are_used_and_not_made(helm: Any) -> None:
    objects = helm.template("--set", "existingSecret=mine", "--set", "loop.existingConfigMap=ours")
    assert not [kind for kind, _ in objects if kind in ("Secret", "ConfigMap")]
    container = pod(objects)["containers"][0]
    names = {
        one["valueFrom"]["secretKeyRef"]["name"]
        for one in container["env"]
        if "secretKeyRef" in one.get("valueFrom", {})
    }
    assert names == {"mine"}
    assert pod(objects)["volumes"][0]["configMap"]["name"] == "ours"


def test_urls_go_into_the_secret(helm: Any) -> None:
    objects = helm.template("--set", "registryUri=https://mlflow.example", "--set", "ledgerUrl=sqlite:////state/l.db")
    data = {key: base64.b64decode(text).decode() for key, text in objects["Secret", "loopwright"]["data"].items()}
    assert data["registry-uri"] == "https://mlflow.example"
    assert data["ledger-url"] == "sqlite:////state/l.db"


def test_claims_are_mounted_where_they_are_wanted(helm: Any) -> None:
    objects = helm.template(
        "--set", "persistence.enabled=true,persistence.storageClassName=fast,data.existingClaim=rows"
    )
    claim = objects["PersistentVolumeClaim", "loopwright-state"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    volumes = {volume["name"]: volume for volume in pod(objects)["volumes"]}
    assert volumes["state"] == {"name": "state", "persistentVolumeClaim": {"claimName": "loopwright-state"}}
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "rows", "readOnly": True}


def test_a_network_policy_selects_the_trigger(helm: Any) -> None:
    objects = helm.template("--set", "networkPolicy.enabled=true")
    policy = objects["NetworkPolicy", "loopwright-trigger"]["spec"]
    labels = objects["Deployment", "loopwright-trigger"]["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()


def test_a_digest_counts_instead_of_the_tag(helm: Any) -> None:
    digest = "sha256:" + "0" * 64
    assert (
        pod(helm.template("--set", f"image.digest={digest}"))["containers"][0]["image"]
        == f"loopwright/trigger@{digest}"
    )


def test_another_loop_s_rules_are_given_and_not_the_example_s(helm: Any, tmp_path: Any) -> None:
    (tmp_path / "rules.yml").write_text("# A comment.\ngroups:\n- name: prices\n  rules: []\n")
    own = ["--set", "prometheusRule.enabled=true,loop.existingConfigMap=prices"]
    objects = helm.template(*own, "--set-file", f"prometheusRule.rules={tmp_path / 'rules.yml'}")
    assert objects["PrometheusRule", "loopwright"]["spec"] == {"groups": [{"name": "prices", "rules": []}]}
    answer = helm.try_template(*own)
    assert answer.returncode != 0
    assert "loopwright render" in answer.stderr


def test_runs_on_argo_have_the_claim_or_the_bucket_that_the_values_say(helm: Any) -> None:
    values = "engine=argo,training.artifacts=s3://bucket/runs,existingSecret=mine,fullnameOverride=prices"
    objects = helm.template("--set", values, "--set", "training.resources.limits.memory=64Gi")
    spec = objects["WorkflowTemplate", "prices-training"]["spec"]
    assert spec["serviceAccountName"] == "prices-training"
    assert {"name": "artifacts", "value": "s3://bucket/runs"} in spec["arguments"]["parameters"]
    assert {"name": "state", "emptyDir": {}} in spec["volumes"]
    containers = {one["name"]: one["container"] for one in spec["templates"] if "container" in one}
    assert containers["train"]["resources"]["limits"] == {"memory": "64Gi"}
    assert containers["judge"]["resources"]["limits"] == {"memory": "2Gi"}
    keys = [one["valueFrom"]["secretKeyRef"]["name"] for one in containers["judge"]["env"] if "valueFrom" in one]
    assert set(keys) == {"mine"}
    trigger = objects["Deployment", "prices-trigger"]["spec"]["template"]["spec"]["containers"][0]
    variables = {one["name"]: one.get("value") for one in trigger["env"]}
    assert variables["LOOPWRIGHT_ENGINE"] == "argo"
    assert variables["LOOPWRIGHT_TRAINING_TEMPLATE"] == "prices-training"


def test_two_releases_have_nothing_in_common(helm: Any) -> None:
    names = set(helm.template(release="one")) & set(helm.template(release="two"))
    assert not names


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--set", "replicas=3"], "replicas"),
        (["--set", "image.tga=1"], "tga"),
        (["--set", "image.digest=abc"], "/image/digest"),
        (["--set", "service.port=http"], "/service/port"),
        (["--set", "persistence.accessModes={ReadOnlyMany}"], "/persistence/accessModes"),
        (["--set", "networkPolicy.from="], "/networkPolicy/from"),
        (["--set", "token=short"], "/token"),
        (["--set", "ledgerUrl=ledger.db"], "/ledgerUrl"),
        (["--set", "engine=airflow"], "/engine"),
        (["--set", "engine=argo"], "training.artifacts"),
        (["--set", "engine=argo,training.artifacts=s3://bucket"], "registryUri"),
        (["--set", "training.artifacts=bucket"], "/training/artifacts"),
        (["--set", "loop.featuresFile=../x.py"], "/loop/featuresFile"),
        (["--set", "loop.git.repository=git@github.com:x/y"], "/loop/git/repository"),
        (["--set", "loop.git.repository=https://x/y,loop.git.path=../y"], "/loop/git/path"),
        (["--set", "prometheusUrl=prometheus:9090"], "/prometheusUrl"),
        (["--set", "objectStore.existingSecret=Mine"], "/objectStore/existingSecret"),
        (["--set", "builtin.postgresql.user=x"], "user"),
        (["--set", "builtin.objectStore.buckets={A}"], "/builtin/objectStore/buckets"),
        (["--set", "builtin.enabled=true,ledgerUrl=sqlite:////x"], "leave ledgerUrl, registryUri, storesSecret and"),
        (["--set", "storesSecret=shared,ledgerUrl=sqlite:////x"], "storesSecret and ledgerUrl"),
        (["--set", "storesSecret=Shared"], "/storesSecret"),
        (["--set", "jobs.report.schedule=daily"], "/jobs/report/schedule"),
        (["--set", "jobs.report.enabled=true"], "they need persistence.enabled"),
        (["--set", "jobs.labels.enabled=true,persistence.enabled=true"], "needs jobs.labels.source"),
        (["--set-json", 'jobs.more=[{"name":"report","schedule":"@daily","args":["x"]}]'], "/jobs/more/0/name"),
        (["--set-json", 'jobs.more=[{"name":"x","schedule":"@daily","args":[]}]'], "/jobs/more/0/args"),
        (["--set", "serviceMonitor.interval=often"], "/serviceMonitor/interval"),
        (["--set", "podMonitor.enabled=true,loop.existingConfigMap=x"], "podMonitor.loop"),
        (["--set", "loop.git.repository=https://x/y,rollouts.enabled=true"], "loop.existingConfigMap"),
        (["--set", "loop.git.repository=https://x/y,loop.existingConfigMap=z"], "loop.existingConfigMap and loop.git"),
        (["--set", "loop.declaration=metadata: {name: Big_Prices}"], '"Big_Prices"; expected a DNS label'),
        (["--set", "loop.declaration=x"], "loop.declaration is no YAML mapping"),
        (["--set", "loop.declaration=x,loop.existingConfigMap=y"], "both loop.declaration and loop.existingConfigMap"),
    ],
)
def test_a_wrong_value_is_refused_by_name(helm: Any, arguments: list[str], named: str) -> None:
    answer = helm.try_template(*arguments)
    assert answer.returncode != 0
    assert named in answer.stderr


def test_the_schema_is_closed_wherever_it_lists_keys() -> None:
    def listing(schema: Any) -> list[Any]:
        found = [schema] if "properties" in schema else []
        for value in schema.values():
            for inner in value if isinstance(value, list) else [value]:
                found += listing(inner) if isinstance(inner, dict) else []
        return found

    assert all(one.get("additionalProperties") is False for one in listing(SCHEMA))


def test_the_schema_knows_every_value_and_no_other() -> None:
    def keys(values: Any, schema: Any, path: str = "") -> None:
        known = set(schema["properties"]) - {"global"}
        assert set(values) == known, path
        for name, value in values.items():
            inner = schema["properties"][name]
            if isinstance(value, dict) and "required" in inner:
                keys(value, inner, f"{path}.{name}")

    keys(VALUES, SCHEMA)


def test_two_releases_in_one_namespace_select_different_pods(helm: Any) -> None:
    values = "builtin.enabled=true,jobs.report.enabled=true,persistence.enabled=true,networkPolicy.enabled=true"
    one, two = (helm.template("--set", values, release=name) for name in ("one", "two"))
    assert not set(one) & set(two)
    for (kind, name), service in one.items():
        if kind == "Service":
            selector = service["spec"]["selector"].items()
            pods = [other["spec"]["template"] for (kind, _), other in two.items() if kind == "Deployment"]
            assert not [pod for pod in pods if selector <= pod["metadata"]["labels"].items()], name


def test_a_second_loop_shares_the_stores_of_the_first_and_nothing_else(helm: Any) -> None:
    first = helm.template("--set", "builtin.enabled=true,networkPolicy.enabled=true", release="loopwright")
    shared = "storesSecret=loopwright-postgresql,objectStore.existingSecret=loopwright-object-store"
    second = helm.template("--set", f"engine=argo,training.artifacts=s3://runs,{shared}", release="prices")
    assert not set(first) & set(second)
    trigger = second["Deployment", "prices-loopwright-trigger"]["spec"]["template"]["spec"]
    templates = second["WorkflowTemplate", "prices-loopwright-training"]["spec"]["templates"]
    for container in (trigger["containers"][0], *(one["container"] for one in templates if "container" in one)):
        env = {one["name"]: one for one in container["env"]}
        for name in ("LEDGER_URL", "REGISTRY_URI"):
            key = env[f"LOOPWRIGHT_{name}"]["valueFrom"]["secretKeyRef"]
            assert key["name"] == "loopwright-postgresql"
            assert key["key"] in first["Secret", "loopwright-postgresql"]["data"]
    env = {one["name"]: one for one in trigger["containers"][0]["env"]}
    assert env["LOOPWRIGHT_TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == "prices-loopwright"
    (rule,) = first["NetworkPolicy", "loopwright-mlflow"]["spec"]["ingress"]
    (peer,) = rule["from"]
    labels = second["Deployment", "prices-loopwright-trigger"]["spec"]["template"]["metadata"]["labels"]
    assert peer["podSelector"]["matchLabels"].items() <= labels.items()


def test_one_release_in_two_namespaces_is_two_installations(helm: Any) -> None:
    """All of it is in its namespace, and a ledger that both share tells their runs apart."""
    one, two = (helm.template("--set", "existingSecret=shared", "--namespace", name) for name in ("one", "two"))
    assert set(one) == set(two)
    for objects, namespace in ((one, "one"), (two, "two")):
        assert {each["metadata"]["namespace"] for each in objects.values()} == {namespace}
        env = {each["name"]: each for each in pod(objects)["containers"][0]["env"]}
        assert env["LOOPWRIGHT_MACHINE"]["value"] == "$(POD_NAMESPACE)/loopwright"
        assert env["POD_NAMESPACE"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"


def test_nothing_is_outside_of_the_namespace(helm: Any) -> None:
    values = "builtin.enabled=true,rollouts.enabled=true,networkPolicy.enabled=true,dashboards.enabled=true"
    objects = helm.template("--set", values)
    assert not [kind for kind, _ in objects if kind.startswith("Cluster")]
    assert {one["metadata"]["namespace"] for one in objects.values()} == {"somewhere"}
