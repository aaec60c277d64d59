"""The manifests of docs/scale.md: a DaskCluster has the pods of the plain Deployments."""

import re
from pathlib import Path
from typing import Any

import yaml


def documented(root: Path) -> dict[str, Any]:
    """Every object of the page, by its kind and name."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", (root / "docs" / "scale.md").read_text(), re.MULTILINE | re.DOTALL)
    found = [one for block in blocks for one in yaml.safe_load_all(block) if "kind" in one]
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in found}


def test_a_dask_cluster_has_the_pods_of_the_deployments(root: Path) -> None:
    objects = documented(root)
    cluster = objects["DaskCluster/dask"]
    for role in ("scheduler", "worker"):
        template = objects[f"Deployment/dask-{role}"]["spec"]["template"]
        plain, made = template["spec"], cluster["spec"][role]["spec"]
        (one,), (other,) = plain.pop("containers"), made.pop("containers")
        assert made == plain
        # It names workers and the scheduler's Service, and its schema takes ports by name alone.
        named = ["--name", "$(DASK_WORKER_NAME)"]
        arguments = [argument for argument in other.pop("args") if argument not in named]
        assert arguments == [argument.replace("//dask:", "//dask-scheduler:") for argument in one.pop("args")]
        for key in ("ports", "startupProbe"):
            one.pop(key, None)
            other.pop(key, None)
        assert other == one
    assert (
        cluster["metadata"]["labels"]["app"]
        == objects["NetworkPolicy/dask"]["spec"]["podSelector"]["matchLabels"]["app"]
    )
    assert cluster["spec"]["worker"]["replicas"] == objects["Deployment/dask-worker"]["spec"]["replicas"]
