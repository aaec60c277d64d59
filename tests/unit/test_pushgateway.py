"""A job's metrics reach a Pushgateway in their group, or the job is told why not."""

import math

import httpx
import pytest

from loopwright.errors import StateError
from loopwright.pushgateway import Gauge, push, text


def pushed(answer, url="http://gateway:9091/"):
    """The request that a push makes; `answer` gives the response."""
    requests = []

    def handle(request):
        requests.append(request)
        return answer(request)

    with httpx.Client(transport=httpx.MockTransport(handle)) as client:
        push(client, url, "job", {"loop": "a/b", "empty": ""}, [Gauge("seconds", "How long.", [({}, 1.5)])])
    return requests[0]


def test_the_text_is_exactly_this():
    gauges = [
        Gauge("a_seconds", "How long.", [({}, 1.5)]),
        Gauge("state", "How.", [({"state": 'a"\\\n'}, 1.0), ({"state": "b"}, math.nan)]),
        Gauge("nothing", "Left out.", [({}, math.nan)]),
    ]
    assert text(gauges) == (
        "# HELP a_seconds How long.\n# TYPE a_seconds gauge\na_seconds{} 1.5\n"
        '# HELP state How.\n# TYPE state gauge\nstate{state="a\\"\\\\\\n"} 1.0\n'
    )


def test_a_group_is_in_the_path_whatever_its_values_are():
    request = pushed(lambda request: httpx.Response(200))
    assert request.method == "POST"
    assert str(request.url) == "http://gateway:9091/metrics/job@base64/am9i/loop@base64/YS9i/empty@base64/="


def test_what_is_not_taken_is_said_without_the_password_of_the_url():
    def away(request):
        raise httpx.ConnectError("no route")

    with pytest.raises(StateError, match=r"Pushgateway at http://gateway:9091 did not take .*: ConnectError no route"):
        pushed(away, "http://me:s3cret@gateway:9091")
    with pytest.raises(StateError, match="it answered 400 pushed metrics are invalid"):
        pushed(lambda request: httpx.Response(400, text="pushed metrics are invalid"))
