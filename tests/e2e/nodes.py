"""Whether the cluster's nodes work at all.

A node whose kubelet is gone is "Ready" for another minute and then takes every pod for ever, so that each test would
wait for its own deadline and say something else. It is asked before the first test, and again after one that failed.
"""

import json
import subprocess
import time
from collections.abc import Mapping

# A kubelet renews its lease every ten seconds (Kubernetes, "Leases"); a busy one may miss some.
PATIENCE = 45.0


def _leases() -> Mapping[str, str]:
    """When each node renewed its lease last, by the node's own clock.

    Raises:
        subprocess.CalledProcessError, subprocess.TimeoutExpired: The API server does not say.
    """
    command = ["kubectl", "--namespace", "kube-node-lease", "get", "leases", "--output", "json"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return {one["metadata"]["name"]: one["spec"].get("renewTime", "") for one in json.loads(answer)["items"]}


def trouble() -> str:
    """What is wrong with the cluster, or nothing."""
    deadline = time.monotonic() + PATIENCE
    try:
        before = _leases()
        while silent := sorted(name for name, at in _leases().items() if before.get(name, at) == at):
            if time.monotonic() > deadline:
                return f"no word from the kubelet of {', '.join(silent)} in {PATIENCE:.0f} s; is it running?"
            time.sleep(0.5)
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or error
        return f"the API server does not name its nodes: {str(said).strip()}"
    return "" if before else "the cluster has no node"
