"""The chart's trigger with `engine: kfp`: what it is given, and what is refused."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from loopwright.engines.kfp import options

VALUES = yaml.safe_load((Path(__file__).parents[2] / "helm" / "loopwright" / "values.yaml").read_text())
KFP = ("--set", "engine=kfp,kfp.secret=churn,existingSecret=churn,kfp.retries=4,kfp.image=registry/component:1")


def pod(objects: Any) -> Any:
    return objects["Deployment", "loopwright-trigger"]["spec"]["template"]["spec"]


def test_the_trigger_reads_the_options_that_the_values_say(helm: Any) -> None:
    (container,) = pod(helm.template(*KFP))["containers"]
    environ = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    assert environ["LOOPWRIGHT_ENGINE"] == "kfp"
    found = options.read(environ)
    assert (found.host, found.secret, found.retries, found.image, found.ttl) == (
        VALUES["kfp"]["host"],
        "churn",
        4,
        "registry/component:1",
        86_400,
    )
    folder = found.token_path.rpartition("/")[0]
    assert folder in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_the_trigger_has_a_token_for_kfp_and_none_for_the_cluster(helm: Any) -> None:
    spec = pod(helm.template(*KFP))
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "kfp-token"]
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"
    assert spec["automountServiceAccountToken"] is False


def test_by_default_nothing_of_it_is_there(helm: Any) -> None:
    assert "kfp" not in str(helm.template()).lower()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ("engine=kfp,kfp.secret=churn", "ledger and registry have to be servers"),
        ("engine=kfp,existingSecret=churn", "kfp.secret is empty"),
        ("engine=slurm", "/engine"),
        ("kfp.host=ml-pipeline:8888", "/kfp/host"),
        ("kfp.retries=many", "/kfp/retries"),
        ("kfp.hosts=x", "hosts"),
    ],
)
def test_what_it_cannot_run_with_is_refused_by_name(helm: Any, values: str, named: str) -> None:
    answer = helm.try_template("--set", values)
    assert answer.returncode != 0
    assert named in answer.stderr


def test_the_built_in_stores_are_reached_by_the_steps_of_another_namespace(helm: Any) -> None:
    """By the names that the Secret has, through MLflow's check of the host, and through the NetworkPolicies."""
    builtin = "engine=kfp,kfp.secret=churn,builtin.enabled=true,networkPolicy.enabled=true"
    objects = helm.template("--set", builtin)
    urls = {
        key: base64.b64decode(text).decode() for key, text in objects["Secret", "loopwright-postgresql"]["data"].items()
    }
    (server,) = objects["Deployment", "loopwright-mlflow"]["spec"]["template"]["spec"]["containers"]
    (allowed,) = [one["value"] for one in server["env"] if one["name"] == "MLFLOW_SERVER_ALLOWED_HOSTS"]
    host = urls["registry-uri"].removeprefix("http://").removesuffix(":5000")
    assert host == "loopwright-mlflow.somewhere.svc"
    assert f"{host}:*" in allowed.replace("$(POD_NAMESPACE)", "somewhere").split(",")

    def namespaces(part: str, values: str = builtin) -> list[str]:
        (rule,) = helm.template("--set", values)["NetworkPolicy", f"loopwright-{part}"]["spec"]["ingress"]
        found = [one for one in rule["from"] if "namespaceSelector" in one]
        assert all(one["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "step" for one in found)
        return [one["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for one in found]

    assert namespaces("mlflow") == namespaces("postgresql") == ["kubeflow"]
    assert namespaces("mlflow", f"{builtin},kfp.namespace=ada") == ["ada"]
    assert namespaces("mlflow", f"{builtin},kfp.host=http://ml-pipeline.pipelines:8888") == ["pipelines"]
    assert namespaces("mlflow", f"{builtin},kfp.host=https://kfp.example.com/pipeline") == ["kubeflow"]
    assert namespaces("mlflow", builtin.replace("engine=kfp,", "")) == []


@pytest.mark.parametrize("engine", ["argo", "kfp"])
def test_a_job_of_yours_runs_pipelines_where_the_trigger_does_and_the_chart_s_own_ask_nobody(
    helm: Any, engine: str
) -> None:
    values = f"engine={engine},kfp.secret=churn,existingSecret=churn,persistence.enabled=true,jobs.report.enabled=true,"
    values += "jobs.more[0].name=nightly,jobs.more[0].schedule=0 2 * * *,jobs.more[0].args={run,/loop}"
    objects = helm.template("--set", values)

    def job(name: str) -> Any:
        return objects["CronJob", f"loopwright-{name}"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]

    def engines(spec: Any) -> set[str]:
        of = {one["name"]: one.get("value", "") for one in spec["containers"][0]["env"]}
        return {f"{name}={of[name]}" for name in of if name == "LOOPWRIGHT_ENGINE" or name.startswith("LOOPWRIGHT_KFP")}

    trigger = pod(objects)
    assert engines(job("nightly")) == engines(job("report")) == engines(trigger) != set()
    assert job("nightly")["serviceAccountName"] == trigger["serviceAccountName"]
    assert job("nightly")["automountServiceAccountToken"] == (engine == "argo")
    assert "kfp-token" in [one["name"] for one in job("nightly")["volumes"]] or engine == "argo"
    assert "serviceAccountName" not in job("report")
    assert job("report")["automountServiceAccountToken"] is False
