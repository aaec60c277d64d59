"""Declared PromQL queries: Prometheus' answers against thresholds.

A threshold on a value that is looked at again and again is no test: the value may cross it by chance. So one bad value
takes nothing back. A query rolls back when it was beyond its threshold at every look for as long as it declares
(`hold`), and at three looks at least; while it is beyond, nothing is promoted. What is no single finite number (no
series, several, NaN, Prometheus away) is not known, which waits and never promotes, and begins the time anew.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from loopwright.loop.rollout import Query

if TYPE_CHECKING:
    import httpx

LOOKS = 3
TIMEOUT = 5.0
Ask = Callable[[str], float]
"""The value of a query. Raises Unanswered."""


class Unanswered(ValueError):
    """A query without one finite number for an answer; the text says why."""


class Prometheus:
    """Prometheus' HTTP API at a URL (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

    def __init__(self, url: str, client: "httpx.Client") -> None:
        self._url, self._client = url, client

    def ask(self, query: str) -> float:
        """The value of an instant query with one series, or of a scalar. Raises Unanswered for anything else."""
        import httpx

        if not self._url:
            raise Unanswered("there is no Prometheus to ask; name it with LOOPWRIGHT_PROMETHEUS_URL")
        try:
            answer = self._client.get(f"{self._url}/api/v1/query", params={"query": query}, timeout=TIMEOUT)
            content = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unanswered(f"Prometheus does not answer: {str(error) or type(error).__name__}") from error
        except ValueError as error:
            raise Unanswered(f"Prometheus answered {answer.status_code} without JSON") from error
        try:
            return _value(content)
        except (LookupError, TypeError, AttributeError) as error:
            raise Unanswered(f"Prometheus answered {answer.status_code} with something else than a result") from error


def _value(content: Mapping[str, Any]) -> float:
    if content["status"] != "success":
        raise Unanswered(f"Prometheus refuses it: {content.get('error', 'no reason given')}")
    kind, result = content["data"]["resultType"], content["data"]["result"]
    if kind == "vector":
        if len(result) != 1:
            raise Unanswered("it has no series" if not result else f"it has {len(result)} series, and one is expected")
        result = result[0]["value"]
    elif kind != "scalar":
        raise Unanswered(f"its result is a {kind}, and an instant vector or a scalar is expected")
    value = float(result[1])
    if not math.isfinite(value):
        raise Unanswered(f"its value is {result[1]}")
    return value


def filled(query: Query, loop: str, version: int, champion: int | None) -> str:
    """The query's text for these versions."""
    values = {"loop": loop, "version": str(version), "champion": "" if champion is None else str(champion)}
    return re.sub(r"\$(loop|version|champion)\b", lambda found: values[found[1]], query.query)


def evidence(
    query: Query, text: str, ask: Ask | None, hold: float, since: tuple[float, int] | None, now: float
) -> tuple[dict[str, Any], tuple[float, int] | None]:
    """What a query shows (see evidence.py), and since when and at how many looks it has been beyond its threshold.

    `since` is that of the look before; `hold` in real seconds.
    """
    facts: dict[str, Any] = {"min": query.min, "max": query.max, "worse": False, "known": False, "beyond": False}
    try:
        if ask is None:
            raise Unanswered("there is no Prometheus to ask; name it with LOOPWRIGHT_PROMETHEUS_URL")
        value = ask(text)
    except Unanswered as error:
        return facts | {"detail": str(error)}, None
    above = query.max is not None and value > query.max
    below = query.min is not None and value < query.min
    facts |= {"value": float(f"{value:.6g}"), "known": True}
    if not (above or below):
        return facts | {"detail": f"{value:.6g} is within its threshold"}, None
    limit = f"above {query.max:g}" if above else f"below {query.min:g}"
    begun, looks = since or (now, 0)
    looks += 1
    worse = now - begun >= hold and looks >= LOOKS
    detail = f"{value:.6g} is {limit}, at {looks} looks in {now - begun:.0f} s"
    return facts | {"beyond": True, "worse": worse, "detail": detail}, (begun, looks)
