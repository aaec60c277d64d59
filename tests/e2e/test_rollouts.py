"""Rollouts on a real API server behind a real gateway, under a steady load of all protocols that must not notice.

KServe is its own controller where that is installed, else the stand-in of tests/standins (tests/e2e/conftest.py).
"""

import importlib.util
import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


load = _module("load")


def loaded(service: Any, rate: float = 30.0, **options: Any) -> Any:
    """A steady load on the service."""
    return load.Load(service.address, service.host, "small", rate=rate, **options)


def kubectl(service: Any, *arguments: str) -> str:
    command = ["kubectl", "-n", service.namespace, *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def tell(service: Any, kind: str) -> None:
    """Command a rollout as `loopwright rollout pause|resume|promote|abort` does."""
    from loopwright.rollout import kserve
    from loopwright.rollout.kserve.states import KServeStates
    from loopwright.rollout.states import Command

    KServeStates("small", kserve.connect(service.namespace)).tell(Command(kind, "a person", "to see", 0.0))


def only(service: Any, version: int) -> None:
    """The version is alone: it has all the traffic, and nothing else is served."""
    assert service.champion() == version
    # Where no canary is declared KServe writes one backend of the default weight.
    assert list(service.weights()) == [f"small-v{version}-predictor"]


def test_a_good_canary_is_promoted_on_verdicts_and_no_request_fails(service: Any) -> None:
    champion = service.champion()
    version, digest = service.version("other")
    with loaded(service) as steady:
        rolling = service.start(version, digest)
        assert rolling.ended() == 0, rolling.log.read_text()
    assert steady.seen.failures == []
    only(service, version)
    for protocol, answers in steady.seen.answers.items():
        assert set(answers) == {str(champion), str(version)}, protocol
    texts = [line["text"] for line in rolling.lines() if "text" in line]
    assert any("20 %" in text for text in texts)
    assert any("50 %" in text for text in texts)


def test_a_canary_that_fails_requests_is_taken_back(service: Any) -> None:
    champion = service.champion()
    version, digest = service.version("errors")
    with loaded(service) as steady:
        rolling = service.start(version, digest)
        assert rolling.ended() == 11, rolling.log.read_text()
    only(service, champion)
    # Its own errors are what it was taken back for; nothing else failed, and nothing of the champion's.
    assert {failure["error"].partition(":")[0] for failure in steady.seen.failures} <= {
        "HTTPStatusError",
        "AioRpcError",
    }
    assert 0 < len(steady.seen.failures) < steady.seen.total() / 5
    assert "error" in rolling.lines()[-1]["reason"]


def test_a_canary_that_answers_otherwise_is_taken_back_and_no_request_fails(service: Any) -> None:
    champion = service.champion()
    version, digest = service.version("wrong")
    with loaded(service) as steady:
        # As many as it takes to be sure of a distance between two distributions.
        rolling = service.start(version, digest, least=80)
        assert rolling.ended() == 11, rolling.log.read_text()
    assert steady.seen.failures == []
    only(service, champion)
    assert "predict" in rolling.lines()[-1]["reason"]


def test_a_canary_that_is_slow_is_taken_back_and_no_request_fails(service: Any) -> None:
    champion = service.champion()
    version, digest = service.version("slow")
    with loaded(service) as steady:
        rolling = service.start(version, digest, least=80, analysis="latency_p99: {max: 100ms}")
        assert rolling.ended(120) == 11, rolling.log.read_text()
    assert steady.seen.failures == []
    only(service, champion)
    assert "took longer than 100 ms" in rolling.lines()[-1]["reason"]


def test_the_controller_restarted_in_the_middle_costs_no_request(service: Any) -> None:
    version, digest = service.version("other")
    with loaded(service) as steady:
        rolling = service.start(version, digest, more="", least=60)
        rolling.reached(20)
        service.restart_controller(lambda: load_until(lambda: steps_said(rolling) > 1))
        code = rolling.ended(120)
        if code == 10:
            # It could not change a weight while nobody was there to take it; run again it goes on.
            code = service.start(version, digest, more="", least=60).ended(120)
        assert code == 0, rolling.log.read_text()
    assert steady.seen.failures == []
    only(service, version)


def test_a_canary_that_does_not_start_never_gets_a_request(service: Any) -> None:
    champion = service.champion()
    version, _ = service.version("good")
    with loaded(service, rate=15) as steady:
        # The predictor refuses a model that is not the registered one, and ends.
        rolling = service.start(version, "0" * 64)
        assert rolling.ended(120) == 11, rolling.log.read_text()
    assert steady.seen.failures == []
    assert steady.seen.of(version) == 0
    only(service, champion)
    assert "does not start" in rolling.lines()[-1]["reason"]


def test_blue_green_switches_at_once_and_returns_at_once(service: Any) -> None:
    champion = service.champion()
    version, digest = service.version("other")
    with loaded(service) as steady:
        rolling = service.start(version, digest, "blue_green", "keep: 120s")
        rolling.reached(100)
        load_until(lambda: service.weights().get(f"small-v{version}-predictor") == 100)
        assert service.weights()[f"small-v{champion}-predictor"] == 0
        tell(service, "abort")
        assert rolling.ended(60) == 11, rolling.log.read_text()
    assert steady.seen.failures == []
    assert steady.seen.of(version) > 0
    only(service, champion)


def test_an_ab_test_keeps_who_has_the_header_with_the_challenger(service: Any) -> None:
    champion = service.champion()
    version, digest = service.version("other")
    ab = "ab: {header: x-group, values: [beta], horizon: 100s, min_labels: 2}"
    with loaded(service, rate=15) as others:
        rolling = service.start(version, digest, "ab", ab)
        load_until(lambda: "small-ab" in kubectl(service, "get", "httproutes", "-o", "name"))
        load_until(lambda: ask(service, {"x-group": "beta"}) == version)
        with loaded(service, rate=15, headers={"x-group": "beta"}) as beta:
            load_until(lambda: ask(service, {"x-group": "beta"}) == version)
            assert ask(service, {}) == champion
        tell(service, "abort")
        assert rolling.ended(60) == 11, rolling.log.read_text()
    assert others.seen.failures == []
    assert beta.seen.failures == []
    assert beta.seen.of(champion) == 0
    assert others.seen.of(version) == 0
    only(service, champion)


def test_an_ab_test_by_cookie_keeps_each_client_with_its_version(service: Any) -> None:
    champion = service.champion()
    version, digest = service.version("other")
    ab = "ab: {share: 50, horizon: 100s, min_labels: 2}"
    with loaded(service, rate=15) as steady:
        rolling = service.start(version, digest, "ab", ab)
        load_until(lambda: "small-ab" in kubectl(service, "get", "httproutes", "-o", "name"))
        load_until(lambda: rolling.said("by the cookie"))
        clients = [contact(service) for _ in range(30)]
        assert {served for served, _ in clients} == {champion, version}
        for served, cookie in clients:
            for _ in range(3):
                assert ask(service, {"cookie": cookie}) == served
        tell(service, "abort")
        assert rolling.ended(60) == 11, rolling.log.read_text()
    assert steady.seen.failures == []
    only(service, champion)


def test_a_shadow_answers_nobody_and_is_compared(service: Any) -> None:
    champion = service.champion()
    version, digest = service.version("other")
    with loaded(service) as steady:
        # More requests than there will be, as the step after the shadow gives it traffic.
        rolling = service.start(version, digest, "shadow", least=100_000)
        load_until(lambda: "small-shadow" in kubectl(service, "get", "httproutes", "-o", "name"))
        load_until(lambda: rolling.said(" of 100000 requests"))
        tell(service, "abort")
        assert rolling.ended(60) == 11, rolling.log.read_text()
    assert steady.seen.failures == []
    assert steady.seen.of(version) == 0
    only(service, champion)


@pytest.mark.long
def test_routes_of_ours_that_come_and_go_cost_no_request(service: Any) -> None:
    from loopwright import declaration
    from loopwright.loop.rollout import AB
    from loopwright.rollout import kserve
    from loopwright.rollout.kserve.gateway import KServeGateway

    version, digest = service.version("other")
    gateway = KServeGateway(declaration.load(service.folder), kserve.connect(service.namespace), lambda versions: {})
    gateway.add(version, "", digest)
    gateway.wait_ready(version, 90)
    # More of them than in a rollout, as what may be lost is lost in some milliseconds of each change.
    with loaded(service, rate=90) as steady, loaded(service, rate=60, headers={"x-group": "beta"}) as beta:
        for _ in range(5):
            gateway.mirror(version, True)
            gateway.mirror(version, False)
            gateway.split(version, AB(header="x-group", values=("beta",)))
            gateway.shift(version, 0)
        gateway.withdraw(version)
    assert (steady.seen.failures, beta.seen.failures) == ([], [])
    assert beta.seen.of(version) > 0
    assert steady.seen.of(version) == 0


def test_the_challenger_s_pod_deleted_in_the_middle_costs_no_request(service: Any) -> None:
    version, digest = service.version("other")
    with loaded(service) as steady:
        rolling = service.start(version, digest, more="")
        rolling.reached(20)
        kubectl(service, "delete", "pod", *service.pods(version), "--wait=false")
        assert rolling.ended(120) == 0, rolling.log.read_text()
    assert steady.seen.failures == []
    only(service, version)


def test_killed_in_the_middle_it_goes_on_where_it_was(service: Any) -> None:
    version, digest = service.version("other")
    with loaded(service) as steady:
        first = service.start(version, digest)
        first.reached(20)
        first.process.send_signal(signal.SIGKILL)
        first.ended()
        # Nobody watches now, and the weight stays what it was.
        weight = service.weights()[f"small-v{version}-predictor"]
        assert weight == 20
        # Its lock is free some time after the last sign of it; the Workflow's pod tries again as is done here.
        deadline, second = time.monotonic() + 90, service.start(version, digest)
        while second.ended(120) == 10 and time.monotonic() < deadline:
            assert second.lines()[-1]["kind"] == "Held"
            second = service.start(version, digest)
        assert second.ended() == 0, second.log.read_text()
    assert steady.seen.failures == []
    assert second.said("going on")
    only(service, version)


def test_two_rollouts_of_one_service_exclude_each_other(service: Any) -> None:
    champion = service.champion()
    version, digest = service.version("other")
    first = service.start(version, digest)
    first.reached(20)
    second = service.start(version, digest)
    assert second.ended() == 10
    assert second.lines()[-1]["kind"] == "Held"
    tell(service, "abort")
    assert first.ended(60) == 11, first.log.read_text()
    only(service, champion)


def test_a_missing_permission_is_named_as_a_rule(service: Any, tmp_path: Path) -> None:
    kubectl(service, "create", "serviceaccount", "nobody")
    token = kubectl(service, "create", "token", "nobody").strip()
    config = json.loads(kubectl(service, "config", "view", "--minify", "--raw", "-o", "json"))
    config["users"][0]["user"] = {"token": token}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    version, digest = service.version("good")
    service.environment["KUBECONFIG"] = str(tmp_path / "kubeconfig")
    try:
        rolling = service.start(version, digest)
        assert rolling.ended() == 10, rolling.log.read_text()
    finally:
        del service.environment["KUBECONFIG"]
    said = rolling.lines()[-1]["error"]
    assert "no permission to get" in said
    assert '"verbs": ["get"]' in said


def steps_said(rolling: Any) -> int:
    """How many lines a rollout has said."""
    return len(rolling.lines())


def contact(service: Any) -> tuple[int, str]:
    """The version that answers a new client, and the cookie that it is given."""
    answer = _asked(service, {})
    return int(answer["X-Model-Version"]), answer["Set-Cookie"].partition(";")[0]


def ask(service: Any, headers: dict[str, str]) -> int:
    """The version that answers one request."""
    return int(_asked(service, headers)["X-Model-Version"])


def _asked(service: Any, headers: dict[str, str]) -> Any:
    """The headers of the answer to one request."""
    body = json.dumps({"instances": [{"age": 40, "spend": 10.0, "plan": "basic"}]}).encode()
    url = f"http://{service.address}/v1/models/small:predict"
    request = urllib.request.Request(url, body, {"Host": service.host, "Content-Type": "application/json", **headers})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return answer.headers


def load_until(condition: Any, seconds: float = 60) -> None:
    """Wait for what nobody announces, while the load goes on."""
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
