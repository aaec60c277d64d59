import time
from dataclasses import replace
from typing import Any

import pytest

from loopwright.errors import StateError
from loopwright.rollout.kserve.cluster import Cluster
from loopwright.rollout.kserve.states import KServeStates
from loopwright.rollout.resume import Saved
from loopwright.rollout.states import Command, Held

SAVED = Saved(2, "", "d2", 1, (5, 100), 7, 8, 100.0, phase="stepping")


@pytest.fixture
def states(api: Any, cluster: Cluster) -> KServeStates:
    service = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": "churn"}}
    api.put("inferenceservices", service)
    return KServeStates("churn", cluster)


def test_the_state_is_read_as_it_was_kept(states: KServeStates) -> None:
    assert states.load() is None
    states.save(SAVED)
    # By their texts, as an unknown count differs from itself.
    assert repr(states.load()) == repr(SAVED)
    states.clear()
    assert states.load() is None


def test_commands_go_beside_the_state(states: KServeStates) -> None:
    states.save(SAVED)
    command = Command("pause", "Ada", "the launch", 5.0)
    states.tell(command)
    assert states.command() == command
    states.save(replace(SAVED, index=1))
    assert states.command() == command
    states.clear_command()
    assert states.command() is None
    assert states.load() is not None


def test_nothing_is_written_where_it_would_restart_the_pods(api: Any, states: KServeStates) -> None:
    states.save(SAVED)
    states.note("wait", "waiting for 20 labels", 2, 5)
    service = api.objects["inferenceservices", "churn"]
    assert "annotations" not in service["metadata"]
    assert '"verdict": "wait"' in service["status"]["annotations"]["loopwright.dev/verdict"]
    assert '"weight": 5' in service["status"]["annotations"]["loopwright.dev/rollout"]


def test_what_goes_with_the_service_is_owned_by_it(api: Any, states: KServeStates) -> None:
    states.save(SAVED)
    owner = api.objects["configmaps", "churn-rollout"]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("InferenceService", "churn")


def test_two_rollouts_exclude_each_other(states: KServeStates, cluster: Cluster) -> None:
    other = KServeStates("churn", cluster)
    with states.alone(2), pytest.raises(Held, match=r"\(version 2\) rolls churn out"), other.alone(3):
        pass
    with KServeStates("churn", cluster).alone(3):
        pass


def test_the_lease_of_a_process_that_was_killed_is_taken_over(states: KServeStates, cluster: Cluster) -> None:
    states._take(2)
    late = KServeStates("churn", cluster, now=lambda: time.time() + 31)
    with late.alone(3):
        pass


def test_a_rollout_that_lost_its_lease_writes_nothing_more(api: Any, cluster: Cluster) -> None:
    states = KServeStates("churn", cluster, duration=0.1)
    with states.alone(2):
        lease = api.objects["leases", "churn-rollout"]
        api.put("leases", lease | {"spec": lease["spec"] | {"holderIdentity": "process 1 on another (version 3)"}})
        assert states._lost.wait(5)
        with pytest.raises(Held, match="the Lease churn-rollout is another's"):
            states.save(SAVED)
    assert api.objects["leases", "churn-rollout"]["spec"]["holderIdentity"].startswith("process 1 on another")


@pytest.mark.parametrize("key", ["state", "command"])
@pytest.mark.parametrize("text", ["{", "[]", '{"version": 1}'])
def test_what_is_damaged_is_said(api: Any, states: KServeStates, key: str, text: str) -> None:
    api.put("configmaps", {"metadata": {"name": "churn-rollout"}, "data": {key: text}})
    with pytest.raises(StateError, match=f"the {key} in the ConfigMap churn-rollout of the namespace models"):
        states.load() if key == "state" else states.command()
