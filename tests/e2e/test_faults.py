"""Faults of a cluster, one by one, on the installation of house.py.

What was asked for happens once, nobody who asks the service notices, no version has a share that was not decided, and
the ledger verifies.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module", autouse=True)
def two_versions(house: Any) -> Any:
    """A second version, for the rollouts."""
    house.deliver()
    house.loopwright("run", "/loop")
    return sys.modules["house"]


def component(name: str) -> str:
    """The label selector of a part of the release."""
    return f"app.kubernetes.io/name=loopwright,app.kubernetes.io/component={name}"


def kill(house: Any, pods: list[str], *, at_once: bool = True) -> None:
    """End pods; `at_once` they have no time to do anything about it."""
    force = ("--grace-period=0", "--force") if at_once else ()
    kubectl(house, "delete", "pod", *pods, "--wait=false", *force)


def kubectl(house: Any, *arguments: str) -> str:
    text: str = sys.modules["house"].kubectl("-n", house.namespace, *arguments)
    return text


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    return sys.modules["house"].until(condition, seconds, what)


def ready(house: Any, *names: str) -> None:
    """Wait until Deployments are as they should be."""
    for name in names:
        kubectl(house, "rollout", "status", f"deployment/{name}", "--timeout=170s")


def replace(house: Any, deployment: str) -> None:
    """End the pods of a predictor one after the other, as a drain of nodes does it by a PodDisruptionBudget."""
    selector = f"app=isvc.{deployment}"
    for pod in house.pods(selector):
        if house.get("pods", pod) is not None:
            kill(house, [pod], at_once=False)
            until(lambda gone=pod: gone not in house.pods(selector), 60, f"the end of {pod}")
        if house.get("deployments", deployment):
            ready(house, deployment)


def new_run(house: Any, before: set[str], seconds: float = 60) -> str:
    """The name of the one run that came since `before`."""
    until(lambda: set(house.workflows("training")) - before, seconds, f"a run; {house.log()}")
    (name,) = set(house.workflows("training")) - before
    return name


def step(house: Any, run: str, name: str, seconds: float = 300) -> str:
    """Wait until a run's pod of a step works; its name."""

    def works() -> list[str]:
        assert house.workflows("training")[run] in ("Pending", "Running"), house.log()
        return [pod for pod in house.pods(f"workflows.argoproj.io/workflow={run}") if f"-{name}-" in pod]

    found: str = until(works, seconds, f"the pod of {name}")[0]
    return found


def ended(house: Any, run: str, seconds: float = 600) -> str:
    """Wait until a run is over; its phase."""
    over = ("Succeeded", "Failed", "Error")
    until(lambda: house.workflows("training").get(run) in over, seconds, f"the end of {run}; {house.log()}")
    return str(house.workflows("training")[run])


def newest(house: Any, run: str) -> int:
    """The one version that a run registered."""
    (registered,) = facts(house.story(), "registered", run)
    return int(registered["version"])


def facts(entries: list[dict[str, Any]], kind: str, run: str) -> list[dict[str, Any]]:
    """The facts of a run's entries of a kind."""
    return [entry["facts"] for entry in entries if entry["kind"] == kind and entry["facts"].get("run") == run]


@contextmanager
def canary(house: Any) -> Iterator[tuple[int, int]]:
    """The newest other version on its way, as a Workflow; when it has its first share the block begins.

    At the end it is the champion, no request has failed, and no share was another than the declared ones.
    """
    houses, champion, entries = sys.modules["house"], house.champion(), house.story()
    versions = {one["facts"]["version"] for one in entries if one["kind"] == "registered"}
    version = max(versions - {champion, None})
    command = ["kubectl", "-n", house.namespace, "exec", houses.install.TRIGGER, "--", "loopwright"]
    command += ["rollout", "/loop", "--version", str(version), "--workflow"]
    following = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with houses.Weights(house) as weights, house.load(house.rows("now")) as steady:
            first = houses.STEPS[0]
            until(lambda: house.weights().get(f"v{version}") == first, 200, f"the first share; {house.log()}")
            yield champion, version
            house.becomes_champion(version)
    finally:
        # A fault may have cut it off: the Workflow goes on without it.
        following.kill()
        following.wait(30)
    assert steady.seen.failures == []
    # A challenger whose pod has gone is off the route until there is another: the champion answers then.
    shares = [share for share in weights.shares(champion, version) if share]
    assert shares == sorted(shares), weights.seen
    assert set(shares) == {*houses.STEPS, 100}, weights.seen
    told = Counter(entry["kind"] for entry in house.story()[len(entries) :])
    assert (told["rollout"], told["promoted"], told["rolled_back"]) == (1, 1, 0), told
    assert "the ledger verifies" in house.loopwright("audit", "verify", "/loop")


@pytest.mark.long
def test_two_triggers_at_once_make_one_run_which_a_restart_of_postgresql_does_not_stop(house: Any) -> None:
    houses = sys.modules["house"]
    house.deliver()
    before, versions = set(house.workflows("training")), len(house.story())
    kubectl(house, "scale", houses.install.TRIGGER, "--replicas=2")
    ready(house, "loopwright-trigger")
    pods = until(lambda: len(found := house.pods(component("trigger"))) == 2 and found, 60, "two triggers")
    alert = json.loads(json.dumps(houses.install.alert(str(house.champion()))))
    alert["alerts"][0]["startsAt"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    answers: list[Any] = []
    forward = houses.install.trigger
    with forward(house.namespace, f"pod/{pods[0]}") as one, forward(house.namespace, f"pod/{pods[1]}") as other:
        asked = [lambda to=to: answers.append(to.call("/v1/alerts", alert)) for to in (one, other)]
        threads = [threading.Thread(target=ask) for ask in asked]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [status for status, _ in answers] == [200, 200], answers
    run = new_run(house, before)
    step(house, run, "train")
    kill(house, house.pods(component("postgresql")))
    with house.load(house.rows("now")) as steady:
        assert ended(house, run) == "Succeeded", house.log()
        # One of the two takes its version live.
        version = newest(house, run)
        house.becomes_champion(version)
    assert steady.seen.failures == []
    kubectl(house, "scale", houses.install.TRIGGER, "--replicas=1")
    ready(house, "loopwright-trigger")
    story = house.story()[versions:]
    assert set(house.workflows("training")) - before == {run}
    assert [entry["facts"]["run"] for entry in story if entry["kind"] == "run"] == [run]
    assert len(facts(story, "registered", run)) == 1
    assert [one["state"] for one in facts(story, "run_ended", run)] == ["succeeded"]
    assert len(house.workflows(str(version))) == 1
    assert "the ledger verifies" in house.loopwright("audit", "verify", "/loop")


@pytest.mark.long
def test_an_object_store_that_is_away_for_a_minute_stops_neither_the_service_nor_a_run(house: Any) -> None:
    houses = sys.modules["house"]
    before = set(house.workflows("training"))
    with house.load(house.rows("now"), rate=15) as steady:
        with houses.install.trigger(house.namespace) as client:
            status, answer = client.call("/v1/runs", {"reason": "a new price list", "by": "Ada"})
        assert status == 202, answer
        run = new_run(house, before)
        step(house, run, "prepare")
        kubectl(house, "scale", "deployment/loopwright-object-store", "--replicas=0")
        away = time.monotonic()
        until(lambda: time.monotonic() - away > 60, 90, "a minute")
        kubectl(house, "scale", "deployment/loopwright-object-store", "--replicas=1")
        assert ended(house, run) == "Succeeded", house.log()
        house.becomes_champion(newest(house, run), 400)
    assert steady.seen.failures == []
    story = house.story()
    assert [one["state"] for one in facts(story, "run_ended", run)] == ["succeeded"]
    assert "the ledger verifies" in house.loopwright("audit", "verify", "/loop")


def test_a_helm_upgrade_in_the_middle_of_a_canary_changes_nothing_about_it(house: Any) -> None:
    with canary(house):
        house.helm("upgrade", "--set", "podAnnotations.upgraded=yes,resources.requests.cpu=100m", "--wait")


def test_the_api_server_restarted_in_the_middle_of_a_canary_costs_nothing(house: Any) -> None:
    restart = os.environ.get("LOOPWRIGHT_E2E_RESTART_API")
    if not restart:
        pytest.skip("LOOPWRIGHT_E2E_RESTART_API does not say how the API server is restarted")
    with canary(house):
        subprocess.run(["sh", "-c", restart], check=True, timeout=170)


def test_every_pod_of_ours_killed_once_in_the_middle_of_a_canary_costs_nothing(house: Any) -> None:
    with canary(house) as (champion, version):
        parts = ("trigger", "mlflow", "object-store", "postgresql", "rollout")
        kill(house, [pod for part in parts for pod in house.pods(component(part))])
        for number in (champion, version):
            replace(house, f"churn-v{number}-predictor")
    ready(house, *(f"loopwright-{part}" for part in parts[:-1]))


@pytest.mark.long
def test_a_run_without_enough_memory_fails_by_that_name_and_the_next_one_goes_through(house: Any) -> None:
    kubectl(house, "get", "pods")
    champion, before = house.champion(), set(house.workflows("training"))
    house.helm(
        "upgrade", "--set", "training.resources.limits.memory=48Mi,training.resources.requests.memory=32Mi", "--wait"
    )
    try:
        with sys.modules["house"].install.trigger(house.namespace) as client:
            client.call("/v1/runs", {"reason": "to see", "by": "Ada"})
        run = new_run(house, before)
        assert ended(house, run) == "Failed"
    finally:
        house.helm("upgrade", "--wait")
    (end,) = until(lambda: facts(house.story(), "run_ended", run), 60, "the end in the ledger")
    assert end["state"] == "failed"
    assert "OOMKilled" in end["error"], end
    assert "training.resources.limits.memory" in end["error"], end
    # Another try would need as much.
    nodes = house.get("workflows.argoproj.io", run)["status"]["nodes"].values()
    assert sum(node["type"] == "Pod" and node["templateName"] == "train" for node in nodes) == 1
    assert house.champion() == champion
    assert "the ledger verifies" in house.loopwright("audit", "verify", "/loop")
