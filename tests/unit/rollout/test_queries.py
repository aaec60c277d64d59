"""Prometheus' answers: one finite number, or the reason why there is none; and how long one has to be bad."""

import httpx
import pytest

from loopwright.loop.rollout import Query
from loopwright.rollout.queries import Prometheus, Unanswered, evidence, filled


def answered(response):
    def answer(request):
        assert request.url.path == "/prefix/api/v1/query"
        assert request.url.params["query"] == "up"
        if isinstance(response, Exception):
            raise response
        return response

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        return Prometheus("http://prometheus/prefix", client).ask("up")


def result(kind, found, status=200):
    return httpx.Response(status, json={"status": "success", "data": {"resultType": kind, "result": found}})


def series(*values):
    return result("vector", [{"metric": {"n": str(n)}, "value": [1.7e9, value]} for n, value in enumerate(values)])


def test_one_series_or_a_scalar_is_a_number():
    assert answered(series("1.5")) == 1.5
    assert answered(result("scalar", [1.7e9, "2"])) == 2


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (series(), "it has no series"),
        (series("1", "2"), "it has 2 series, and one is expected"),
        (series("NaN"), "its value is NaN"),
        (series("+Inf"), r"its value is \+Inf"),
        (result("matrix", []), "its result is a matrix"),
        (httpx.Response(400, json={"status": "error", "error": "parse error"}), "refuses it: parse error"),
        (httpx.Response(502, text="<html>"), "answered 502 without JSON"),
        (httpx.Response(200, json=[1]), "with something else than a result"),
        (httpx.ConnectError("refused"), "does not answer: refused"),
        (httpx.ReadTimeout(""), "does not answer: ReadTimeout"),
    ],
)
def test_anything_else_is_no_answer_and_says_why(response, reason):
    with pytest.raises(Unanswered, match=reason):
        answered(response)


def test_without_a_prometheus_it_says_what_to_set():
    with httpx.Client() as client, pytest.raises(Unanswered, match="LOOPWRIGHT_PROMETHEUS_URL"):
        Prometheus("", client).ask("up")


def test_versions_are_filled_in_and_other_dollars_stay():
    query = Query(name="q", query='a{v="$version",c="$champion",l="$loop",r=~".*$",x="$versions"}', max=1)
    assert filled(query, "churn", 7, 6) == 'a{v="7",c="6",l="churn",r=~".*$",x="$versions"}'
    assert 'c=""' in filled(query, "churn", 7, None)


def looks(query, values, every=5.0, hold=10.0):
    since, found = None, []
    for number, value in enumerate(values):

        def ask(_, value=value):
            if value is None:
                raise Unanswered("its value is NaN")
            return value

        one, since = evidence(query, "up", ask, hold, since, number * every)
        found.append((one["known"], one["beyond"], one["worse"]))
    return found


GOOD, BEYOND, WORSE, UNKNOWN = (True, False, False), (True, True, False), (True, True, True), (False, False, False)


def test_it_is_worse_only_when_it_was_beyond_at_every_look_for_as_long_as_declared():
    query = Query(name="q", query="up", max=5)
    assert looks(query, [9, 9, 9]) == [BEYOND, BEYOND, WORSE]
    assert looks(query, [9, 9, 5, 9, 9]) == [BEYOND, BEYOND, GOOD, BEYOND, BEYOND]
    assert looks(query, [9, 9, None, 9, 9]) == [BEYOND, BEYOND, UNKNOWN, BEYOND, BEYOND]


def test_it_takes_three_looks_however_far_apart_they_are():
    assert looks(Query(name="q", query="up", min=5), [1, 1, 1], every=100) == [BEYOND, BEYOND, WORSE]
