"""Preview, mirror, sticky splits and the way back, through LocalGateway, the supervisor and the real Envoy."""

import asyncio
import os
import signal
import time
from collections import Counter

import grpc
import httpx
import pytest

from loopwright import declaration, settings
from loopwright.loop.rollout import AB
from loopwright.rollout.local import LocalGateway

from .test_local_gateway import ONE, PREDICT, TWO, load, start, up_with  # noqa: F401 - a fixture

pytestmark = pytest.mark.long

INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture
def plane(start, tmp_path):  # noqa: F811
    """Version 1 serves, version 2 is ready without traffic; the gateway, and what is up."""
    up, status = up_with(start)
    with httpx.Client(trust_env=False) as client:
        gateway = LocalGateway(declaration.load(tmp_path), settings.read(tmp_path, {}), client)
        gateway.add(TWO.version, TWO.bundle, TWO.digest)
        gateway.wait_ready(2, 20)
        # Ready is when the predictor answers; it can be reached when Envoy has its clusters and a route.
        up.weighted({1: 100, 2: 0})
        yield gateway, up, status.endpoints


def settled(read, met, seconds=10.0):
    """What `read` gives once it is as expected."""
    deadline = time.monotonic() + seconds
    while not met(found := read()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def seen(up, version):
    port = up.until(lambda status: version in status.predictors).predictors[version].http
    return httpx.get(f"http://127.0.0.1:{port}/seen", trust_env=False).json()


def test_the_challenger_is_reached_by_its_preview_host_before_it_has_traffic(plane):
    gateway, _, urls = plane
    assert gateway.preview(2) == f"{urls['gateway']} with the header `Host: preview.churn`"
    with httpx.Client(base_url=urls["gateway"], trust_env=False) as client:
        hosts = ["preview.churn", "preview.churn:8080", "preview.churn:80", "churn", "preview.other", "localhost"]
        answered = [client.post(PREDICT, headers={"Host": host}).json()["version"] for host in hosts]
    assert answered == ["2", "2", "2", "1", "1", "1"]
    with grpc.insecure_channel(urls["grpc"], [("grpc.default_authority", "preview.churn")]) as channel:
        assert channel.unary_unary(INFER)(b"", timeout=5) == b"2"
    with grpc.insecure_channel(urls["grpc"]) as channel:
        assert channel.unary_unary(INFER)(b"", timeout=5) == b"1"
    gateway.withdraw(2)
    assert (
        httpx.post(urls["gateway"] + PREDICT, headers={"Host": "preview.churn"}, trust_env=False).json()["version"]
        == "1"
    )


def test_mirrored_requests_are_answered_by_the_champion_and_counted_for_both_with_one_id(plane):
    gateway, up, urls = plane
    gateway.mirror(2, True)
    gateway.mirror(2, True)
    assert (gateway.weights(), gateway.wanted()) == ({1: 100, 2: 0}, {1: 100, 2: 0})
    before = gateway.counts()
    ids = [f"request-{number}" for number in range(50)]
    with httpx.Client(base_url=urls["gateway"], trust_env=False) as client:
        answers = [client.post(PREDICT, headers={"x-request-id": one}) for one in ids]
        made = client.post(PREDICT).headers["x-request-id"]
        assert {answer.json()["version"] for answer in answers} == {"1"}
        assert client.get("/fail").status_code == 500
    with grpc.insecure_channel(urls["grpc"]) as channel:
        infer = channel.unary_unary(INFER)
        assert {infer(b"", timeout=5, metadata=[("x-request-id", f"grpc-{n}")]) for n in range(10)} == {b"1"}
        with pytest.raises(grpc.RpcError, match="asked to fail"):
            infer(b"fail", timeout=5)

    def arms():
        now = gateway.counts()
        return [now[version] - before[version] for version in (1, 2)]

    one, two = settled(arms, lambda found: [arm.timed for arm in found] == [63, 63])
    # The copy of a gRPC call that fails is answered 200, and Envoy counts no gRPC codes of copies.
    assert (one.requests, two.requests, one.errors, two.errors) == (63, 63, 2, 1)
    copies = dict(seen(up, 2))
    assert {*ids, made, *(f"grpc-{n}" for n in range(10))} <= copies.keys()
    assert copies["request-0"] == urls["gateway"].removeprefix("http://"), "the host that it was sent to"
    gateway.shift(2, 0)
    assert up.until(lambda _: True).mirrored == 2
    gateway.shift(2, 100)
    assert up.until(lambda _: True).mirrored is None, "its own requests are not copied to it"
    gateway.shift(2, 0)
    gateway.mirror(2, True)
    gateway.mirror(2, False)
    httpx.post(urls["gateway"] + PREDICT, headers={"x-request-id": "later"}, trust_env=False)
    assert "later" in dict(seen(up, 1))
    assert "later" not in dict(seen(up, 2))


def test_a_challenger_that_hangs_or_is_gone_does_not_delay_or_fail_a_mirrored_request(plane):
    gateway, up, urls = plane
    gateway.mirror(2, True)
    pid = up.until(lambda status: 2 in status.predictors).predictors[2].pid
    with httpx.Client(base_url=urls["gateway"], trust_env=False) as client:
        os.kill(pid, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            assert {client.post(PREDICT).json()["version"] for _ in range(50)} == {"1"}
            assert time.monotonic() - begun < 5
        finally:
            os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL)
        assert {client.post(PREDICT).json()["version"] for _ in range(50)} == {"1"}
    assert settled(lambda: gateway.health(2), bool).startswith("predictor 2")


def test_a_client_keeps_its_version_by_cookie_over_http_and_grpc(plane):
    gateway, _, urls = plane
    gateway.split(2, AB(share=30, horizon="1h"))
    assert (gateway.weights(), gateway.wanted()) == ({1: 70, 2: 30}, {1: 70, 2: 30})
    first: Counter[str] = Counter()
    with httpx.Client(base_url=urls["gateway"], trust_env=False) as client:
        for _ in range(300):
            answer = client.post(PREDICT)
            version, cookie = answer.json()["version"], answer.headers["set-cookie"]
            assert cookie == f"loopwright-churn={version}; Path=/; Max-Age=7200; HttpOnly; SameSite=Lax"
            client.cookies.clear()
            first[version] += 1
        # 300 draws of 0.3: five standard deviations are 40.
        assert 50 < first["2"] < 130, first
        for version in ("1", "2"):
            for text in (f"loopwright-churn={version}", f"a=b; loopwright-churn={version}; loopwright-churnx=9"):
                again = [client.post(PREDICT, headers={"cookie": text}) for _ in range(20)]
                assert {answer.json()["version"] for answer in again} == {version}
                assert not any("set-cookie" in answer.headers for answer in again)
        # Another test's cookie, and a cookie whose name ends the same, decide nothing.
        for text in ("loopwright-churn=22", "xloopwright-churn=2", "loopwright-churn="):
            assert "set-cookie" in client.post(PREDICT, headers={"cookie": text}).headers
            client.cookies.clear()
    with grpc.insecure_channel(urls["grpc"]) as channel:
        infer = channel.unary_unary(INFER)
        for version in (b"1", b"2"):
            sticky = [("cookie", f"loopwright-churn={version.decode()}")]
            assert {infer(b"", timeout=5, metadata=sticky) for _ in range(20)} == {version}
    gateway.shift(2, 0)
    sticky = httpx.post(urls["gateway"] + PREDICT, headers={"cookie": "loopwright-churn=2"}, trust_env=False)
    assert (sticky.json()["version"], "set-cookie" in sticky.headers) == ("1", False)


def test_a_header_decides_who_gets_the_challenger_and_nobody_else_does(plane):
    gateway, _, urls = plane
    gateway.split(2, AB(header="x-group", values=("beta", "inner circle")))
    assert (gateway.weights(), gateway.wanted()) == ({1: 100, 2: 0}, {1: 100, 2: 0})
    with httpx.Client(base_url=urls["gateway"], trust_env=False) as client:
        for group, version in (("beta", "2"), ("inner circle", "2"), ("betas", "1"), ("alpha", "1"), (None, "1")):
            headers = {} if group is None else {"X-Group": group}
            assert {client.post(PREDICT, headers=headers).json()["version"] for _ in range(10)} == {version}
    with grpc.insecure_channel(urls["grpc"]) as channel:
        infer = channel.unary_unary(INFER)
        assert infer(b"", timeout=5, metadata=[("x-group", "beta")]) == b"2"
        assert infer(b"", timeout=5) == b"1"
    gateway.promote(2)
    assert gateway.weights() == {2: 100}


def test_blue_green_switches_and_comes_back_under_load_without_a_failed_request_or_a_new_process(plane):
    gateway, up, urls = plane
    results: Counter[tuple[int, str]] = Counter()
    pids = {version: one.pid for version, one in up.until(lambda _: True).predictors.items()}

    async def scenario():
        stop = asyncio.Event()
        loading = asyncio.create_task(load(urls["gateway"], results, stop))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(gateway.promote, 2, keep=True)
        await asyncio.to_thread(gateway.promote, 2, keep=True)
        assert (gateway.champion(), gateway.kept(), gateway.weights()) == (2, 1, {1: 0, 2: 100})
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        await asyncio.to_thread(gateway.restore, 1)
        seconds = time.monotonic() - begun
        await asyncio.to_thread(gateway.restore, 1)
        assert (gateway.champion(), gateway.kept(), gateway.weights()) == (1, None, {1: 100, 2: 0})
        await asyncio.sleep(0.3)
        status = up.until(lambda _: True)
        assert {version: one.pid for version, one in status.predictors.items()} == pids
        await asyncio.to_thread(gateway.withdraw, 2)
        await asyncio.to_thread(up.until, lambda status: set(status.predictors) == {1})
        stop.set()
        await loading
        return seconds

    seconds = asyncio.run(scenario())
    assert set(results) == {(200, "1"), (200, "2")}, results
    assert seconds < 1.0
    print(f"{results.total()} requests, 0 failed; back in {seconds:.3f} s")


def test_a_supervisor_that_is_started_again_has_the_mirror_the_split_and_the_kept_version_again(plane, start):  # noqa: F811
    gateway, up, _ = plane
    gateway.promote(2, keep=True)
    up.end()
    again = start()
    status = again.until(lambda status: status.weights == {1: 0, 2: 100})
    assert httpx.post(status.endpoints["gateway"] + PREDICT, trust_env=False).json()["version"] == "2"
    gateway.restore(1)
    gateway.split(2, AB(share=50))
    again.end()
    once_more = start()
    once_more.until(lambda status: status.weights == {1: 50, 2: 50} and status.split)
    assert ONE.version == gateway.champion()
