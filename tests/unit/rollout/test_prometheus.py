import json
import math
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from loopwright.rollout.prometheus import QUERIES, PrometheusArms


def test_the_queries() -> None:
    assert QUERIES == (
        'loopwright_predictions_total{loop="LOOP"}[SECONDSs]',
        'loopwright_prediction_duration_seconds_bucket{loop="LOOP"}[SECONDSs]',
        '{__name__=~"loopwright_events_total|loopwright_prediction_bucket_total",loop="LOOP"}[SECONDSs]',
        '{__name__=~"loopwright_label_loss_(count|sum|squares)",loop="LOOP"}[SECONDSs]',
    )


def reading(answer: Callable[[str], Any], origin: float = 1000.0) -> tuple[PrometheusArms, list[tuple[str, str]]]:
    """A reader of a Prometheus that answers a query with `answer`, and what it was asked: queries and times."""
    asked: list[tuple[str, str]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        form = dict(httpx.QueryParams(request.content.decode()))
        asked.append((form["query"], form.get("time", "")))
        found = answer(form["query"])
        if isinstance(found, httpx.Response):
            return found
        return httpx.Response(200, json={"status": "success", "data": {"result": found}})

    client = httpx.Client(transport=httpx.MockTransport(handle))
    return PrometheusArms(client, "http://prometheus/", "churn", "models", 0.05, origin), asked


def series(version: str, values: list[list[Any]], **labels: str) -> dict[str, Any]:
    name = {"__name__": "loopwright_predictions_total", "loop": "churn", "version": version, "outcome": "ok"}
    return {"metric": name | labels, "values": values}


def test_a_look_asks_for_what_came_since_the_look_before() -> None:
    clock = iter(["1600", "1610"])
    arms, asked = reading(lambda query: [0, next(clock)] if query == "time()" else [])
    arms([1])
    arms([1])
    first = [one for one in asked if one[0].startswith("loopwright_predictions_total")]
    # From 300 s before the origin; then the ten seconds since; each with a minute that was asked for before.
    assert first == [
        ('loopwright_predictions_total{loop="churn"}[960s]', "1600.000"),
        ('loopwright_predictions_total{loop="churn"}[70s]', "1610.000"),
    ]


def test_a_long_rollout_is_read_in_pieces() -> None:
    arms, asked = reading(lambda query: [0, "8200"] if query == "time()" else [])
    arms([1])
    times = [time for query, time in asked if query.startswith("loopwright_predictions_total")]
    assert times == ["2500.000", "4300.000", "6100.000", "7900.000", "8200.000"]


def test_another_namespace_is_another_service() -> None:
    mine = series("1", [[1500, "5"]], namespace="models", pod="a")
    other = series("1", [[1500, "70"]], namespace="staging", pod="b")
    arms, _ = reading(lambda query: [0, "1510"] if query == "time()" else [mine, other] if "total{" in query else [])
    assert arms([1])[1].requests == 5


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, text="starting"),
        httpx.Response(200, text="<html>a login page</html>"),
        httpx.Response(200, text=json.dumps({"status": "error", "error": "too many samples"})),
        httpx.Response(200, text=json.dumps([])),
        ["no", "number"],
        [],
    ],
)
def test_what_is_no_answer_of_prometheus_makes_all_unknown(answer: Any) -> None:
    arms, _ = reading(lambda query: answer)
    assert math.isnan(arms([1])[1].requests)
    assert arms.problem


def test_nan_is_unknown() -> None:
    one = series("1", [[1400, "3"], [1500, "NaN"]])
    arms, _ = reading(lambda query: [0, "1510"] if query == "time()" else [one] if "total{" in query else [])
    assert math.isnan(arms([1])[1].requests)
