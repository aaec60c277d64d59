"""What an Alertmanager webhook says, made into causes: one a firing episode of this loop.

A notification is sent again and again while its alerts fire, by Alertmanager's repeat interval, by its retries and by
each of its replicas. All of these are one episode, named by the group's key and the earliest moment at which one of
its alerts began, so they are one cause, and one cause starts at most one run.

The body is Alertmanager's version 4: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from loopwright.durations import parse_duration
from loopwright.errors import LoopwrightError
from loopwright.trigger.decide import ODD

MAX_BYTES = 4 * 1024 * 1024
"""The longest body that is read. An alert of ours is about 900 bytes, so that 1,000 of them are a quarter of it."""

MAX_ALERTS = 2000
"""The most alerts in one body: one a drifted feature. Alertmanager drops for good what is refused."""

# Which `retrain.on` an alert belongs to, by its alertname. Another name stands for itself, which no loop names.
SOURCES = {"LoopwrightDrift": "drift", "LoopwrightPerformance": "performance"}

_KEPT = 500  # characters that are kept of a text for the ledger
_KEPT_FEATURES = 50  # features of an alarm that are kept for the ledger, the farthest drifted first

Name = Annotated[str, StringConstraints(max_length=200)]
Text = Annotated[str, StringConstraints(max_length=4096)]


class BodyError(LoopwrightError):
    """A body that is not what the trigger takes; `status` is the HTTP status that says so."""

    def __init__(self, found: str, *, expected: str = "", do: str = "", status: int = 400) -> None:
        super().__init__(found, expected=expected, do=do)
        self.status = status


class _Body(BaseModel):
    # Alertmanager adds fields from release to release: what is not needed is not looked at.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Alert(_Body):
    """One alert of a notification."""

    status: Literal["firing", "resolved"]
    labels: dict[Name, Text] = Field(max_length=64)
    annotations: dict[Name, Text] = Field({}, max_length=64)
    startsAt: AwareDatetime  # noqa: N815 - Alertmanager's spelling


class Notification(_Body):
    """One webhook body."""

    version: Literal["4"]
    groupKey: Text = Field(min_length=1)  # noqa: N815
    status: Literal["firing", "resolved"]
    truncatedAlerts: int = Field(0, ge=0)  # noqa: N815
    alerts: tuple[Alert, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Cause:
    """A firing episode, or an event: its source and group, the ledger key that all its repeats share, its facts."""

    source: str
    group: str
    key: str
    facts: Mapping[str, Any]
    kind: Literal["alarm", "event"] = "alarm"
    """The kind of its entry."""


@dataclass(frozen=True)
class Ignored:
    """Alerts that start nothing: the loop that they name ("" for none), how many, and why."""

    loop: str
    alerts: int
    reason: str


@dataclass(frozen=True)
class Received:
    """What one notification amounts to for one loop; `resolved` has the source and group of what is over."""

    causes: tuple[Cause, ...] = ()
    resolved: tuple[tuple[str, str], ...] = ()
    ignored: tuple[Ignored, ...] = ()


def read(body: bytes, loop: str) -> Received:
    """Read a webhook body for `loop`.

    Raises BodyError: status 413 when it is over 4 MiB or has more than 2,000 alerts, 400 when it is not a version 4
    body.
    """
    notification = _parse(body)
    ours: dict[str, list[Alert]] = {}
    others: dict[str, int] = {}
    for alert in notification.alerts:
        name = alert.labels.get("loop", "")
        if name == loop:
            source = alert.labels.get("alertname", "")
            ours.setdefault(SOURCES.get(source, source), []).append(alert)
        else:
            others[name] = others.get(name, 0) + 1
    causes, resolved = [], []
    for source, alerts in ours.items():
        firing = [alert for alert in alerts if alert.status == "firing"]
        if firing:
            causes.append(_cause(source, notification.groupKey, firing))
        # Of a truncated list we do not know whether what was left off still fires, unless the whole group is over.
        elif notification.status == "resolved" or not notification.truncatedAlerts:
            resolved.append((source, notification.groupKey))
    ignored = [Ignored(name, count, _why(name, count, loop)) for name, count in others.items()]
    return Received(tuple(causes), tuple(resolved), tuple(ignored))


def _parse(body: bytes) -> Notification:
    if len(body) > MAX_BYTES:
        raise BodyError(f"the body has {len(body)} bytes", expected=f"at most {MAX_BYTES}", status=413)
    try:
        notification = Notification.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error, "a webhook body of Alertmanager, version 4") from error
    if len(notification.alerts) > MAX_ALERTS:
        raise BodyError(
            f"the body has {len(notification.alerts)} alerts",
            expected=f"at most {MAX_ALERTS}",
            do=f"set max_alerts: {MAX_ALERTS} in Alertmanager's webhook_configs",
            status=413,
        )
    return notification


def invalid(error: ValidationError, expected: str) -> BodyError:
    """The first thing that is wrong with a JSON body, with where it stands."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return BodyError(f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}", expected=expected)
    place = ".".join(str(part) for part in first["loc"]) or "the body"
    return BodyError(f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}", expected=expected)


def _cause(source: str, group: str, firing: list[Alert]) -> Cause:
    first = min(firing, key=lambda alert: alert.startsAt)
    starts = first.startsAt.astimezone(UTC)
    # What is odd is what a run is held back for, so it is kept before what has only drifted far.
    features = sorted(
        (_feature(alert) for alert in firing if alert.labels.get("feature")),
        key=lambda feature: (-max(feature.get("odd", {}).values(), default=0.0), -(feature["distance"] or 0.0)),
    )
    facts = {
        "source": source,
        "group": group,
        "version": first.labels.get("version"),
        "features": features[:_KEPT_FEATURES],
        "starts_at": starts.isoformat(),
        "window_seconds": _seconds(first.annotations.get("window")),
        "summary": first.annotations.get("summary", f"{source} is firing")[:_KEPT],
    }
    if len(features) > _KEPT_FEATURES:
        facts["features_more"] = len(features) - _KEPT_FEATURES
    return Cause(source, group, f"alarm/{_episode(source, group, starts)}", facts)


def _episode(source: str, group: str, starts: datetime) -> str:
    """A name of fixed length: a group's key is as long as its labels are, and the ledger's keys are not."""
    return hashlib.sha256("\n".join((source, group, starts.isoformat())).encode()).hexdigest()[:40]


def _feature(alert: Alert) -> dict[str, Any]:
    notes = alert.annotations
    name = alert.labels["feature"][:_KEPT]
    odd = {what: share for what in ODD if (share := _number(notes.get(what))) is not None}
    feature = {"name": name, "distance": _number(notes.get("distance")), "score": _number(notes.get("score"))}
    against = (notes.get("against") or alert.labels.get("against", ""))[:_KEPT]
    # Said of a drift only: a rule of somebody's own may have features without a reference.
    return {**feature, **({"against": against} if against else {}), **({"odd": odd} if odd else {})}


def _number(text: str | None) -> float | None:
    """A finite number in an annotation, or None: annotations are for people, and templates of theirs may say n/a."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _seconds(text: str | None) -> float | None:
    """A window as a number of seconds or as a duration such as `1h`; None where it is neither."""
    value = _number(text)
    if value is not None or text is None:
        return value
    try:
        return parse_duration(text).total_seconds()
    except ValueError:
        return None


def _why(name: str, count: int, loop: str) -> str:
    alerts = "1 alert is" if count == 1 else f"{count} alerts are"
    if name:
        return f"{alerts} of the loop {name[:63]!r}; this trigger is for {loop!r}"
    return f"{alerts} without the label `loop`; this trigger is for {loop!r}"
