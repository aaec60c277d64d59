"""What a job leaves behind for Prometheus: it has ended before anybody could scrape it, so it pushes to a Pushgateway.

The Pushgateway keeps the last push of each group for good, so a group names what runs again and again (the loop), never
one run of it. See https://prometheus.io/docs/practices/pushing/ for when this is right: for services it is not.
"""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loopwright.errors import StateError

if TYPE_CHECKING:
    import httpx

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TIMEOUT = 10.0
_USER = re.compile(r"//[^/@]*@")


@dataclass(frozen=True)
class Gauge:
    """A metric of a job: its name, its meaning, and its values by labels."""

    name: str
    help: str
    values: Sequence[tuple[Mapping[str, str], float]] = field(default=())


def push(client: "httpx.Client", url: str, job: str, group: Mapping[str, str], gauges: Sequence[Gauge]) -> None:
    """Replace the metrics of these names in a group; others of the group stay. Raises StateError when it is not taken.

    `url` is the Pushgateway's, `job` and `group` are labels of every series.
    """
    import httpx

    target = f"{url.rstrip('/')}/metrics{_path({'job': job, **group})}"
    try:
        answer = client.post(target, content=text(gauges), headers={"Content-Type": CONTENT_TYPE}, timeout=TIMEOUT)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _refused(url, f"{type(error).__name__} {error}".strip()) from error
    if not answer.is_success:
        raise _refused(url, f"it answered {answer.status_code} {answer.text.strip()[:200]}")


def text(gauges: Sequence[Gauge]) -> str:
    """The text exposition of gauges; a NaN is left out, as it says nothing."""
    lines = []
    for gauge in gauges:
        values = [(labels, value) for labels, value in gauge.values if not math.isnan(value)]
        if values:
            lines += [f"# HELP {gauge.name} {gauge.help}", f"# TYPE {gauge.name} gauge"]
        for labels, value in values:
            written = ",".join(f'{name}="{_escaped(one)}"' for name, one in labels.items())
            lines.append(f"{gauge.name}{{{written}}} {value!r}")
    return "\n".join([*lines, ""])


def _path(labels: Mapping[str, str]) -> str:
    """Labels as a path of the Pushgateway; any text is written as base64 of its own (name@base64)."""
    return "".join(
        f"/{name}@base64/{base64.urlsafe_b64encode(value.encode()).decode() or '='}" for name, value in labels.items()
    )


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _refused(url: str, why: str) -> StateError:
    return StateError(
        f"the Pushgateway at {_USER.sub('//', url)} did not take the metrics: {why}",
        expected="a Prometheus Pushgateway",
        do="start it, or correct or unset LOOPWRIGHT_PUSHGATEWAY_URL",
    )
