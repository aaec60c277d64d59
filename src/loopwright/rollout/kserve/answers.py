"""A version's recent predictions by id, of the monitors beside its pods: what shadow rollouts compare.

The monitors ask for the loop's token, which the API server's proxy would not pass on. So they are asked by their
pods' addresses: a rollout that compares answers has to run where those can be reached, as in a Workflow's pod.
"""

import json
from typing import TYPE_CHECKING

from loopwright.rollout.kserve.cluster import POD, Cluster
from loopwright.rollout.kserve.gateway import Answers
from loopwright.serving.resources import names
from loopwright.serving.resources.names import MONITOR_PORT

if TYPE_CHECKING:
    import httpx

TIMEOUT = 3.0


class PodAnswers:
    """Asks the monitors of a version's pods. `client` is an HTTP client without the environment's proxy."""

    def __init__(self, cluster: Cluster, loop: str, client: "httpx.Client", token: str) -> None:
        self._cluster, self._loop, self._client = cluster, loop, client
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, version: int, after: str) -> Answers:
        """The answers after the cursor, which has the cursor of each pod; of a pod that does not answer, none."""
        import httpx

        cursors: dict[str, str] = json.loads(after) if after else {}
        answers: list[tuple[str, float]] = []
        for pod in self._cluster.list(POD, names.pods(self._loop, version)):
            name, address = pod["metadata"]["name"], pod.get("status", {}).get("podIP")
            if not address:
                continue
            host = f"[{address}]" if ":" in address else address
            url = f"http://{host}:{MONITOR_PORT}/v1/answers/{version}"
            try:
                query = {"after": cursors.get(name, "")}
                answer = self._client.get(url, params=query, headers=self._headers, timeout=TIMEOUT)
                found = answer.raise_for_status().json()
                answers += [(str(identifier), float(value)) for identifier, value in found["answers"]]
                cursors[name] = str(found["cursor"])
            except (httpx.HTTPError, ValueError, KeyError, TypeError):
                continue
        return answers, json.dumps(cursors, sort_keys=True) if cursors else after
