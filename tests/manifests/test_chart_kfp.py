"""The chart's trigger with `engine: kfp`: what it is given, and what is refused."""

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
