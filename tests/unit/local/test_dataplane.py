import asyncio
import json

import httpx
import pytest

from loopwright.local.dataplane import DataPlane
from loopwright.rollout.envoy_admin import CLUSTERS_QUERY, ROUTES_QUERY

ROUTED = {
    "virtual_hosts": [
        {"name": "loop", "routes": [{"route": {"weighted_clusters": {"clusters": [{"name": "version-1"}]}}}]}
    ]
}
GOOD = json.dumps({"configs": [{"route_config": ROUTED}]})


def ask(tmp_path, texts):
    """A data plane that observed Envoy once for each text, and then counted its traffic."""

    async def observed():
        answers = iter(texts)

        def answer(request):
            path = request.url.raw_path.decode()
            return httpx.Response(200, text=next(answers) if path == ROUTES_QUERY else "{}")

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            plane = DataPlane(tmp_path, "http://envoy", client)
            for _ in texts:
                await plane.observe()
        return plane

    return asyncio.run(observed())


def test_what_envoy_has_is_read_back(tmp_path):
    plane = ask(tmp_path, [GOOD])
    assert (plane.answering, plane.weights) == (True, {1: 0})
    assert CLUSTERS_QUERY != ROUTES_QUERY


@pytest.mark.parametrize(
    "text",
    ["<html>not Envoy</html>", "[]", "3", '{"configs": [{"route_config": {"virtual_hosts": [{"name": "loop"}]}}]}'],
)
def test_an_answer_that_is_not_envoys_is_no_answer(tmp_path, text):
    plane = ask(tmp_path, [GOOD, text])
    assert (plane.answering, plane.weights, plane.loaded) == (False, {}, {})


def test_traffic_that_cannot_be_read_is_none(tmp_path):
    async def counted():
        transport = httpx.MockTransport(lambda _: httpx.Response(200, text='a{le="x} nonsense\n'))
        async with httpx.AsyncClient(transport=transport) as client:
            return await DataPlane(tmp_path, "http://envoy", client).traffic()

    assert asyncio.run(counted()) == {}
