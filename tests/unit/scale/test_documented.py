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
        # Its schema takes ports by name alone, and it names workers and the scheduler's Service.
        for key in ("ports", "startupProbe", "args"):
            one.pop(key, None)
            told = other.pop(key, None)
            assert key != "args" or ("tls://dask-scheduler:8786" in told) == (role == "worker")
        assert other == one
    assert (
        cluster["metadata"]["labels"]["app"]
        == objects["NetworkPolicy/dask"]["spec"]["podSelector"]["matchLabels"]["app"]
    )
    assert cluster["spec"]["worker"]["replicas"] == objects["Deployment/dask-worker"]["spec"]["replicas"]
