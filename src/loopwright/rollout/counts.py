"""What each version did, as cumulative counts read from the expositions of Envoy and of the monitor.

Counts only grow, so what happened since any moment is a difference, and a rollout that was killed and goes on loses
nothing as long as Envoy and the monitor have gone on meanwhile. One of them that is started again counts from zero:
a rollout that looks on keeps what it saw at its last look (`rebase`); without one, what was counted in the step is
lost. A count that cannot be read is NaN, stays unknown through all arithmetic, and makes the analysis say that it
cannot tell.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from itertools import zip_longest
from typing import Any, Self

from loopwright.rollout.envoy_admin import SERVER_FAULTS

# Each group comes from one source, which may be away or start again from zero on its own.
TRAFFIC = ("requests", "errors", "rejected", "timed", "slow")
ANSWERS = ("predictions", "labels", "loss_sum", "loss_squares")

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_CLUSTER = re.compile(r"^version-(\d+)(-grpc)?$")
_GRPC_CODE = re.compile(r"^grpc_[1-9]\d*$")


@dataclass(frozen=True)
class Arm:
    """One version's cumulative counts."""

    requests: float = math.nan
    """Requests that were answered, or failed to be."""
    errors: float = math.nan
    """Requests that the serving side failed: HTTP 5xx, no upstream, a gRPC code that is the server's fault."""
    rejected: float = math.nan
    """Requests refused as wrong: HTTP 4xx, other gRPC codes. A client's fault, unless one version alone does so."""
    timed: float = math.nan
    """Requests whose latency was measured."""
    slow: float = math.nan
    """Of those, the ones that took longer than the limit."""
    predictions: tuple[float, ...] = ()
    """Predictions in each of the ordered bins that all versions share; empty for none yet."""
    labels: float = math.nan
    """Predictions whose label is known."""
    loss_sum: float = math.nan
    loss_squares: float = math.nan

    def __add__(self, other: Self) -> Self:
        return self._with(other, 1)

    def __sub__(self, other: Self) -> Self:
        return self._with(other, -1)

    def _with(self, other: Self, sign: int) -> Self:
        values: dict[str, Any] = {
            name: getattr(self, name) + sign * getattr(other, name)
            for name in (*TRAFFIC, "labels", "loss_sum", "loss_squares")
        }
        pairs = zip_longest(self.predictions, other.predictions, fillvalue=0.0)
        bins = tuple(a + sign * b for a, b in pairs) if math.isfinite(values["labels"]) else ()
        return replace(self, **values, predictions=bins)

    def known(self, group: Iterable[str]) -> bool:
        """Whether every count of a group was read. Bins are read with the labels: none means no prediction yet."""
        return all(math.isfinite(getattr(self, name)) for name in group if name != "predictions")

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON has them: null for unknown."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: None if value != value else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave."""
        read: dict[str, Any] = {name: math.nan if value is None else value for name, value in values.items()}
        read["predictions"] = tuple(read["predictions"])
        return cls(**read)


ZERO = Arm(0.0, 0.0, 0.0, 0.0, 0.0, (), 0.0, 0.0, 0.0)
UNKNOWN = Arm()


def rebase(base: Arm, last: Arm, now: Arm) -> Arm:
    """The base from which `now - base` is what happened since, though a source was away or began again from zero.

    `last` is the look before. Counts below it mean that the source was started again: what it had counted by then
    is moved into the base. A group that was unknown in the base counts from the first time that it is known.
    """
    for group in (TRAFFIC, ANSWERS):
        if not now.known(group):
            continue
        if not base.known(group):
            base = replace(base, **{name: getattr(now, name) for name in group})
        elif last.known(group) and _fell(last, now, group):
            moved = base - last
            base = replace(base, **{name: getattr(moved, name) for name in group})
    return base


def latest(last: Arm, now: Arm) -> Arm:
    """`now`, with what is unknown of it as it was last known."""
    for group in (TRAFFIC, ANSWERS):
        if not now.known(group):
            now = replace(now, **{name: getattr(last, name) for name in group})
    return now


def _fell(last: Arm, now: Arm, group: Iterable[str]) -> bool:
    for name in group:
        if name == "predictions":
            if any(b < a for a, b in zip(last.predictions, now.predictions, strict=False)):
                return True
        elif getattr(now, name) < getattr(last, name):
            return True
    return False


def samples(text: str) -> Iterable[tuple[str, dict[str, str], float]]:
    """The samples of a Prometheus exposition: name, labels, value. Lines that are none are passed over."""
    for line in text.splitlines():
        found = None if line.startswith("#") else _SAMPLE.match(line)
        if found is None:
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        yield found[1], {name: _unescape(text) for name, text in _LABEL.findall(found[2] or "")}, value


def read_traffic(text: str, slow_ms: float) -> dict[int, Arm]:
    """Requests, errors and latency of each version from Envoy's `/stats/prometheus`.

    A version's clusters are `version-N` and `version-N-grpc`. Requests over `slow_ms` milliseconds are counted from
    the least bound of the histogram that is at or above it, so none is called slow that was not. Envoy makes a
    counter when it first counts, so in a cluster that it knows, one that is absent is 0.
    """
    arms: dict[int, Arm] = {}
    clusters: dict[tuple[int, bool], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    buckets: dict[tuple[int, bool], dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for name, labels, value in samples(text):
        cluster = _CLUSTER.match(labels.get("envoy_cluster_name", ""))
        if cluster is None:
            continue
        key = int(cluster[1]), cluster[2] is not None
        kind = name.removeprefix("envoy_cluster_")
        if kind == "upstream_rq_time_bucket":
            buckets[key][float(labels.get("le", "nan"))] += value
        elif kind == "upstream_rq_xx":
            clusters[key][f"http_{labels.get('envoy_response_code_class', '')}"] += value
        else:
            clusters[key][kind] += value
    for (version, grpc), counts in clusters.items():
        arm = _traffic(counts, buckets.get((version, grpc), {}), slow_ms)
        arms[version] = arms[version] + arm if version in arms else arm
    return arms


def _traffic(counts: Mapping[str, float], buckets: Mapping[float, float], slow_ms: float) -> Arm:
    # A gRPC call that fails is an HTTP 200 with a code of its own; one that Envoy refused is in both counts.
    codes = {name.removeprefix("grpc_"): value for name, value in counts.items() if _GRPC_CODE.match(name)}
    faults = sum(value for code, value in codes.items() if code in SERVER_FAULTS)
    refusals = sum(value for code, value in codes.items() if code not in SERVER_FAULTS)
    timed = buckets.get(math.inf, 0.0)
    # A bound that differs from the limit by the rounding of its digits is the limit.
    bounds = [bound for bound in buckets if bound >= slow_ms * (1 - 1e-6)]
    return replace(
        ZERO,
        requests=counts.get("upstream_rq_completed", 0.0),
        errors=max(counts.get("http_5", 0.0), faults),
        rejected=max(counts.get("http_4", 0.0), refusals),
        timed=timed,
        slow=timed - buckets[min(bounds)] if bounds else 0.0,
    )


def read_answers(text: str, loop: str) -> dict[int, Arm]:
    """Prediction bins and label losses of each version from the monitor's `/metrics`.

    A version with some counts has zeros for those that are absent: the monitor makes a counter when it counts.
    """
    bins: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    losses: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for name, labels, value in samples(text):
        version = labels.get("version", "")
        if labels.get("loop") != loop or not version.isdecimal():
            continue
        if name == "loopwright_prediction_bucket_total":
            bins[int(version)][labels.get("bucket", "")] += value
        elif name == "loopwright_events_total":
            losses[int(version)]["events"] += value
        elif name.startswith("loopwright_label_loss_"):
            losses[int(version)][name.removeprefix("loopwright_label_loss_").removesuffix("_total")] += value
    order = sorted({bucket for counts in bins.values() for bucket in counts}, key=_bound)
    return {
        version: replace(
            ZERO,
            predictions=tuple(bins[version][bucket] for bucket in order),
            labels=losses[version]["count"],
            loss_sum=losses[version]["sum"],
            loss_squares=losses[version]["squares"],
        )
        for version in sorted({*bins, *losses})
    }


def join(
    versions: Iterable[int], traffic: Mapping[int, Arm] | None, answers: Mapping[int, Arm] | None
) -> dict[int, Arm]:
    """One arm for each of these versions from both sources; None is a source that could not be read.

    A version that a source was read without has done nothing there yet.
    """
    joined = {}
    for version in versions:
        arm = UNKNOWN if traffic is None else traffic.get(version, ZERO)
        other = UNKNOWN if answers is None else answers.get(version, ZERO)
        joined[version] = replace(arm, **{name: getattr(other, name) for name in ANSWERS})
    return joined


def _bound(bucket: str) -> tuple[float, str]:
    try:
        return float(bucket), ""
    except ValueError:
        return math.inf, bucket


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)
