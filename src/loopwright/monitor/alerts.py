"""Alarms on their way out: a notice becomes Alertmanager's webhook body, version 4, and is posted until it arrives.

On a cluster Alertmanager itself sends them; the receiver cannot tell the difference. Posting has a task of its own, so
a receiver that is slow or gone delays neither counting nor looking, and nothing overtakes: a `resolved` never arrives
before the `firing` it ends.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx

from loopwright.durations import Clock, format_duration
from loopwright.http import bearer
from loopwright.loop import Loop
from loopwright.monitor import odd
from loopwright.monitor.drift import Alert, Notice
from loopwright.monitor.looks import RECENT, reference, told

ALERT_NAME = "LoopwrightDrift"
SEVERITY = "warning"
RECEIVER = "loopwright"
MOST_PENDING = 16
FIRST_WAIT, LONGEST_WAIT = 0.25, 30.0
_NO_TIME = "0001-01-01T00:00:00Z"

log = logging.getLogger(__name__)


def body(
    loop: Loop,
    clock: Clock,
    version: str,
    notice: Notice,
    window: float,
    oddities: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """The webhook body of a notice; `window` in real seconds, times on the loop's clock.

    `oddities` are what `odd.of` says of the features; each is an annotation, as a share.
    """
    found = oddities or {}
    group = {"alertname": ALERT_NAME, "loop": loop.name, "version": version}
    common = {**group, "severity": SEVERITY}
    span = format_duration(timedelta(seconds=window * clock.speed))
    names = ", ".join(_named(key) for key in notice.alerts)
    alerts = [
        _alert(common, clock, name, alert, notice.events, span, loop, found.get(told(name)[0], {}))
        for name, alert in notice.alerts.items()
    ]
    suspected = odd.suspected(loop, found) if notice.firing else []
    advice = f" Check the source of {', '.join(suspected)} first: no run starts by itself." if suspected else ""
    annotations = {"window": span, "description": f"{loop.name} version {version}: drift in {names}.{advice}"}
    return envelope(group, common, annotations, notice.firing, alerts)


def envelope(
    group: dict[str, str], common: dict[str, str], annotations: dict[str, str], firing: bool, alerts: list[Any]
) -> dict[str, Any]:
    """Alertmanager's webhook body, version 4, of one group's alerts."""
    return {
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f'{key}="{value}"' for key, value in sorted(group.items())) + "}",
        "truncatedAlerts": 0,
        "status": "firing" if firing else "resolved",
        "receiver": RECEIVER,
        "groupLabels": group,
        "commonLabels": common,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": alerts,
    }


def entry(clock: Clock, labels: dict[str, str], annotations: dict[str, str], alert: Alert) -> dict[str, Any]:
    """One alert of a webhook body."""
    return {
        "status": "firing" if alert.ends_at is None else "resolved",
        "labels": labels,
        "annotations": annotations,
        "startsAt": clock.at(alert.starts_at).isoformat(),
        "endsAt": _NO_TIME if alert.ends_at is None else clock.at(alert.ends_at).isoformat(),
        "generatorURL": "",
        "fingerprint": fingerprint(labels),
    }


def _alert(
    common: dict[str, str],
    clock: Clock,
    name: str,
    alert: Alert,
    events: int,
    span: str,
    loop: Loop,
    oddities: Mapping[str, float],
) -> dict[str, Any]:
    feature, against = told(name)
    # What is held against training has the labels that Prometheus' rules give it.
    labels = {**common, "feature": feature, **({"against": against} if against == RECENT else {})}
    distance, score = alert.score.distance, alert.score.score
    grown = alert.score.by == "growing"
    over = f"by evidence from longer than {span}" if grown else f"over {events} predictions in {span}"
    annotations = {
        "summary": (
            f"{feature} of {loop.name} has drifted from {reference(loop, against)}: distance {distance:.3f} {over}."
        ),
        "distance": f"{distance:.6f}",
        "score": f"{score:.6f}",
        "window": span,
        "against": against,
        **{what: f"{share:.6f}" for what, share in oddities.items()},
    }
    return entry(clock, labels, annotations, alert)


def _named(key: str) -> str:
    """What an alert's key is called."""
    feature, against = told(key)
    return f"{feature} (against recent traffic)" if against == RECENT else feature


def fingerprint(labels: dict[str, str]) -> str:
    """The identity of a label set as Prometheus computes it: FNV-1a, 64 bits, over names and values, in hex."""
    value = 0xCBF29CE484222325
    for part in (part for key in sorted(labels) for part in (key, labels[key])):
        for byte in (*part.encode(), 0xFF):
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


class Poster:
    """Posts bodies in order, each until it arrives or is refused; counts `outcomes`.

    At most `MOST_PENDING` wait; beyond them the oldest is dropped. A repeat replaces the one of its group and status
    that still waits at the end, as it says the same, newer.
    """

    def __init__(self, client: httpx.AsyncClient, url: str, token: str = "", *, first_wait: float = FIRST_WAIT) -> None:
        self._client, self._url, self._first_wait = client, url, first_wait
        self._headers = bearer(token)
        self._pending: deque[dict[str, Any]] = deque()
        self._some = asyncio.Event()
        self.outcomes = Counter({"sent": 0, "retried": 0, "refused": 0, "dropped": 0})

    def offer(self, content: dict[str, Any]) -> None:
        """Take a body to post; returns at once. To a trigger of ours it says where the alarm's report will be."""
        base, ours, _ = self._url.partition("/v1/alerts")
        version = content.get("groupLabels", {}).get("version")
        if ours and version is not None:
            link = f"{base}/v1/reports/latest?version={quote(version, safe='')}"
            content["commonAnnotations"]["report_url"] = link
        last = self._pending[-1] if self._pending else None
        if last is not None and (last["groupKey"], last["status"]) == (content["groupKey"], content["status"]):
            self._pending.pop()
        elif len(self._pending) >= MOST_PENDING:
            self._pending.popleft()
            self.outcomes["dropped"] += 1
        self._pending.append(content)
        self._some.set()

    async def run(self) -> None:
        """Post what is offered, until cancelled."""
        while True:
            await self._some.wait()
            while self._pending:
                await self._post(self._pending.popleft())
            self._some.clear()

    async def _post(self, content: dict[str, Any]) -> None:
        wait = self._first_wait
        while (problem := await self._try(content)) is not None:
            self.outcomes["retried"] += 1
            log.warning("alert not delivered to %s: %s; next try in %.1f s", self._url, problem, wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    async def _try(self, content: dict[str, Any]) -> str | None:
        """Post once; what is wrong, if another try may help."""
        try:
            response = await self._client.post(self._url, json=content, headers=self._headers)
        except httpx.HTTPError as error:
            return f"{type(error).__name__} {error}".strip()
        if response.is_success:
            self.outcomes["sent"] += 1
            log.info("alert %s delivered: %s", content["status"], content["commonAnnotations"]["description"])
            return None
        if response.status_code in (408, 429) or response.status_code >= 500:
            return f"answered {response.status_code}"
        self.outcomes["refused"] += 1
        log.error("alert refused by %s: %d %s", self._url, response.status_code, response.text[:200])
        return None
