"""What Loopwright itself has in the namespace: its Secret, its pods; and the Prometheus that is named."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from loopwright.doctor.cluster import SKEW
from loopwright.doctor.findings import NOTE, OK, PROBLEM, WARNING, Finding
from loopwright.doctor.permissions import ACCOUNT
from loopwright.loop import Loop
from loopwright.rollout.kserve import pods as waiting
from loopwright.rollout.kserve.cluster import POD, SECRET, Cluster, Forbidden, Kind
from loopwright.serving.resources import names
from loopwright.settings import Settings, redacted

if TYPE_CHECKING:
    import httpx

CLAIM = Kind("v1", "persistentvolumeclaims", "PersistentVolumeClaim")
OURS = "app.kubernetes.io/part-of=loopwright"
LEAST = 16
"""Characters of a token that nobody guesses: what the chart's schema asks for."""


def secret(cluster: Cluster, loop: Loop | None) -> Iterator[Finding]:
    """Whether the Secret with the token is there; its values are looked at for their length only."""
    name = "loopwright" if loop is None else loop.serving.secret
    check = f"secret {name}"
    try:
        found = cluster.get(SECRET, name)
    except Forbidden:
        yield Finding(check, NOTE, f"you may not read Secrets in {cluster.namespace}; pods without it do not start")
        return
    data = {} if found is None else found.get("data") or {}
    by_hand = f"kubectl -n {cluster.namespace} create secret generic {name} --from-literal=token=..."
    do = f"the chart makes it; by hand `{by_hand}`"
    if found is None or not data.get("token"):
        what = "is missing" if found is None else "has no key `token`"
        # Before anything is installed its absence is as it should be.
        state = PROBLEM if cluster.list(ACCOUNT, OURS) or loop is not None else WARNING
        yield Finding(check, state, f"{what} in {cluster.namespace}", do)
        return
    # Four characters of base64 are three bytes.
    if len(data["token"]) * 3 / 4 < LEAST:
        yield Finding(check, WARNING, f"its token is shorter than {LEAST} characters", "make a longer one")
        return
    urls = [key for key in ("ledger-url", "registry-uri", "prometheus-url") if data.get(key)]
    yield Finding(check, OK, f"has a token{' and ' + ', '.join(urls) if urls else '; ledger and registry on a volume'}")


def pods(cluster: Cluster, loop: Loop | None) -> Iterator[Finding]:
    """What keeps pods of ours from running: an image, a Secret, a volume, an error at their start. Raises Forbidden."""
    listed = cluster.list(POD, OURS) + ([] if loop is None else cluster.list(POD, names.pods(loop.name)))
    by_name = {one["metadata"]["name"]: one for one in listed if "deletionTimestamp" not in one["metadata"]}
    every = list(by_name.values())
    troubles = [problem for pod in every for problem in waiting.of_pod(cluster, pod)]
    for problem in troubles:
        yield Finding("pods", PROBLEM if problem.lasting else WARNING, problem.text, "mend it; the pod is tried again")
    pending = [one for one in cluster.list(CLAIM, OURS) if one.get("status", {}).get("phase") == "Pending"]
    for claim in pending:
        do = f"see `kubectl -n {cluster.namespace} describe pvc {claim['metadata']['name']}`, and the storage class"
        yield Finding("volumes", WARNING, f"the claim {claim['metadata']['name']} has no volume yet", do)
    if not troubles:
        serving = sum(waiting.ready(one) for one in every)
        yield Finding("pods", OK if every else NOTE, f"{serving} of {len(every)} pods of Loopwright are ready")


def prometheus(
    settings: Settings, client: "httpx.Client", loop: Loop | None, now: Callable[[], float] = time.time
) -> Iterator[Finding]:
    """Whether Prometheus answers, agrees on the time, and has something of the loop."""
    import httpx

    url = settings.prometheus_url
    if not url:
        text = "LOOPWRIGHT_PROMETHEUS_URL is not set: rollouts count by asking the pods"
        yield Finding("prometheus", NOTE, text, "set it, or the key `prometheus-url` of the Secret, for exact counts")
        return
    try:
        began = now()
        theirs = float(_query(client, url, "time()")[0]["value"][1])
        ended = now()
        known = _query(client, url, f'count(loopwright_events_total{{loop="{loop.name}"}})') if loop else []
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
        text = f"{redacted(url)} does not answer as Prometheus does: {redacted(str(error) or type(error).__name__)}"
        do = "check LOOPWRIGHT_PROMETHEUS_URL; a Service's name answers inside the cluster only"
        yield Finding("prometheus", PROBLEM, text, do)
        return
    off = max(began - theirs, theirs - ended, 0.0)
    if off > SKEW:
        text = f"Prometheus' clock and this one differ by {off:.0f} s: a rollout's windows would be empty"
        yield Finding("prometheus", PROBLEM, text, "synchronise the clocks (NTP, chrony)")
        return
    if loop is not None and not known:
        text = f"{redacted(url)} answers, and has no predictions of {loop.name}"
        yield Finding(
            "prometheus", WARNING, text, "once it serves: see whether its pods are scraped (`serving.scrape`)"
        )
        return
    yield Finding("prometheus", OK, f"{redacted(url)} answers{f', and has {loop.name}' if loop is not None else ''}")


def _query(client: "httpx.Client", url: str, query: str) -> Any:
    answer = client.get(f"{url}/api/v1/query", params={"query": query})
    answer.raise_for_status()
    result = answer.json()["data"]["result"]
    # `time()` is a scalar: [moment, value]; a vector is a list of series.
    return [{"value": result}] if answer.json()["data"]["resultType"] == "scalar" else result
