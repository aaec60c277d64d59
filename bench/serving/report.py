"""From samples to a table: medians with their range over the rounds, ratios within a round first, then the targets.

A ratio compares two samples of one round, which were taken within seconds of each other.
"""

import json
import os
import platform
import re
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from bench import sections
from bench.serving.measure import RATES
from bench.serving.model import FEATURES, LEAVES, TREES
from bench.serving.payloads import TOLERANCE
from bench.serving.servers import SERVERS

_PROTOCOLS = {"v1": "V1 JSON", "v2": "V2 JSON", "binary": "V2 binary", "grpc": "V2 gRPC"}
# What a bare uvicorn echo cost where the targets were set, in microseconds of CPU a request, and the target beside it.
_ECHO_US, _TARGET_US = 24.0, 75.0
_LEAST_WITH_MONITOR, _MOST_WITH_MONITOR = 0.9, 1.1


class Spread(NamedTuple):
    """The median of some rounds, with the least and the greatest."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{number(self.median)} ({number(self.least)}-{number(self.most)})"


def spread(values: Iterable[float]) -> Spread | None:
    """The spread of values; None of no values."""
    found = sorted(values)
    return Spread(statistics.median(found), found[0], found[-1]) if found else None


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


class Samples:
    """The samples, to be asked for."""

    def __init__(self, samples: list[dict[str, Any]]) -> None:
        self._by = {(one["server"], one["protocol"], one["rows"], one["round"]): one for one in samples}
        self._rounds = sorted({one["round"] for one in samples})

    def values(self, server: str, protocol: str, rows: int, phase: str, what: str) -> Spread | None:
        """A measure of a server in a case."""
        keys = ((server, protocol, rows, one) for one in self._rounds)
        return spread(self._by[key][phase][what] for key in keys if key in self._by)

    def ratio(
        self, server: str, protocol: str, rows: int, phase: str, what: str, base: str = "loopwright"
    ) -> Spread | None:
        """How many times the base's measure this server's is, round by round."""
        pairs = [((server, protocol, rows, one), (base, protocol, rows, one)) for one in self._rounds]
        return spread(
            self._by[left][phase][what] / self._by[right][phase][what]
            for left, right in pairs
            if left in self._by and right in self._by and self._by[right][phase][what] > 0
        )

    def events(self, protocol: str, rows: int) -> dict[str, float]:
        """The monitored server's events in a case, added up over the rounds."""
        found = [self._by.get(("monitored", protocol, rows, one), {}).get("events", {}) for one in self._rounds]
        return {name: sum(one.get(name, 0.0) for one in found) for name in ("predicted", "counted", "dropped")}


def machine() -> dict[str, Any]:
    """What it ran on."""
    path = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.*)", path.read_text()) if path.exists() else None
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": name[1] if name else platform.machine(),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def write(result: dict[str, Any], docs: Path, numbers: Path) -> None:
    """Put the section into the document, between its markers, and the numbers beside it as JSON."""
    about = json.dumps({name: value for name, value in result.items() if name != "samples"}, indent=1)
    lines = ",\n".join(f"  {json.dumps(one)}" for one in result["samples"])
    numbers.write_text(f'{about[:-2]},\n "samples": [\n{lines}\n ]\n}}\n')
    sections.put(docs, "serving", section(result), title="Benchmarks")


def section(result: dict[str, Any]) -> str:
    """The section in Markdown."""
    samples = Samples(result["samples"])
    parts = [_introduction(result), "### Targets\n\n" + _targets(samples)]
    for rows in (1, 1000):
        parts.append(f"### {'One row' if rows == 1 else '1,000 rows'} a request\n\n{_table(samples, rows)}")
    parts.append(_notes(result))
    return "\n\n".join(parts)


def _introduction(result: dict[str, Any]) -> str:
    where, (seconds, rounds) = result["machine"], result["settings"]
    return f"""## Serving

`python -m bench.serving` starts all servers with one model (LightGBM, {TREES} trees of {LEAVES} leaves, {FEATURES} \
numeric features), each with one worker on one core, and sends the load from the other: 2 cores of {where["cpu"]}, \
Linux {where["kernel"]}, Python {where["python"]}. Each case was measured {rounds} times in turn with the other \
servers, {seconds:g} s at saturation and {seconds:g} s at {RATES[1]:g} requests a second ({RATES[1000]:g} of 1,000 \
rows) that are due at random moments. CPU time is the server's process tree's, user and system. Values are medians of \
the rounds (least-greatest); a ratio is of two samples of the same round. Every answer was a 200, and every server's \
predictions were LightGBM's to {TOLERANCE:g}."""


def _targets(samples: Samples) -> str:
    lines = ["| target | measured | |", "| --- | --- | --- |"]
    for key, title, factor in (
        ("kserve", "KServe's lightgbm server", 8),
        ("kserve_quiet", "KServe's without log lines", 8),
        ("mlserver", "MLServer", 10),
        ("mlserver_one", "MLServer in one process", 10),
        ("mlflow", "`mlflow models serve`", 15),
        ("bentoml", "BentoML", 15),
    ):
        cpu = samples.ratio(key, "v2", 1, "full", "cpu_us")
        p99 = samples.ratio(key, "v2", 1, "full", "p99_ms")
        for what, found in (("CPU a request", cpu), ("p99 at saturation", p99)):
            lines.append(
                _target(f"one row, V2 JSON: {what} {factor} times less than {title}", found, _at_least(factor))
            )
    lines += _absolute(samples)
    for protocol, rows in (("grpc", 1), ("grpc", 1000), ("v1", 1000), ("v2", 1000), ("binary", 1000)):
        text = f"{'one row' if rows == 1 else '1,000 rows'}, {_PROTOCOLS[protocol]}: CPU 3 times less than KServe's"
        lines.append(_target(text, samples.ratio("kserve", protocol, rows, "full", "cpu_us"), _at_least(3)))
    lines += _monitor(samples)
    return "\n".join(lines)


def _at_least(least: float) -> Callable[[float], bool]:
    return lambda value: value >= least


def _target(text: str, found: Spread | None, met: Callable[[float], bool], unit: str = " times") -> str:
    if found is None:
        return f"| {text} | not measured | |"
    return f"| {text} | {found}{unit} | {'met' if met(found.median) else 'not met'} |"


def _absolute(samples: Samples) -> list[str]:
    own = samples.values("loopwright", "v2", 1, "full", "cpu_us")
    text = f"one row, V2 JSON: less than {_TARGET_US:g} µs of CPU, where a bare uvicorn echo costs {_ECHO_US:g}"
    lines = [_target(text, own, lambda value: value < _TARGET_US, " µs")]
    echo = samples.ratio("loopwright", "v2", 1, "full", "cpu_us", base="echo")
    times = _TARGET_US / _ECHO_US
    text = f"the same beside the echo of this run: less than {times:.2f} times its CPU"
    return [*lines, _target(text, echo, lambda value: value < times)]


def _monitor(samples: Samples) -> list[str]:
    lines = []
    for protocol, title in _PROTOCOLS.items():
        found = samples.ratio("loopwright", protocol, 1, "full", "cpu_us", base="monitored")
        text = f"one row, {title}, with the monitor: at least 0.9 times the requests a second of CPU"
        lines.append(_target(text, found, _at_least(_LEAST_WITH_MONITOR)))
        lines.append(_counted(samples, protocol, 1))
    for protocol, title in _PROTOCOLS.items():
        found = samples.ratio("monitored", protocol, 1000, "full", "cpu_us")
        text = f"1,000 rows, {title}, with the monitor: at most {_MOST_WITH_MONITOR:g} times the CPU"
        lines.append(_target(text, found, lambda value: value <= _MOST_WITH_MONITOR))
    return [line for line in lines if line]


def _counted(samples: Samples, protocol: str, rows: int) -> str:
    events = samples.events(protocol, rows)
    if not events["predicted"]:
        return ""
    share = events["counted"] / events["predicted"]
    told = f"{events['counted']:,.0f} of {events['predicted']:,.0f}"
    return f"| {_PROTOCOLS[protocol]}: every event counted | {told} | {'met' if share == 1 else 'not met'} |"


def _table(samples: Samples, rows: int) -> str:
    lines = [
        "| protocol | server | CPU, times Loopwright's | CPU, µs a request | requests/s | p50, ms | p99, ms "
        f"| p50 at {RATES[rows]:g}/s | p99 at {RATES[rows]:g}/s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for protocol, _title in _PROTOCOLS.items():
        for server in SERVERS:
            cpu = samples.values(server.key, protocol, rows, "full", "cpu_us")
            if cpu is None:
                continue
            ratio = samples.ratio(server.key, protocol, rows, "full", "cpu_us")
            busy = samples.values(server.key, protocol, rows, "full", "busy")
            speed = samples.values(server.key, protocol, rows, "full", "per_second")
            cells = [_PROTOCOLS[protocol] if server.forms[protocol].split()[0] in _FORMS else "HTTP JSON", server.title]
            cells += ["1" if server.key == "loopwright" else str(ratio or ""), str(cpu)]
            cells += [f"{speed}{' *' if busy is not None and busy.median < 0.9 else ''}"]
            cells += [str(samples.values(server.key, protocol, rows, "full", what)) for what in ("p50_ms", "p99_ms")]
            cells += [str(samples.values(server.key, protocol, rows, "paced", what)) for what in ("p50_ms", "p99_ms")]
            lines.append(f"| {' | '.join(cells)} |")
    for key, title in (("lightgbm", "LightGBM's own `predict`"), ("engine", "Loopwright's bit vectors")):
        alone = samples.values(key, "alone", rows, "full", "cpu_us")
        if alone:
            lines.append(f"| | {title}, in a loop | | {alone} | | | | | |")
    return "\n".join(lines)


_FORMS = {"v1", "v2", "binary", "grpc"}


def _notes(result: dict[str, Any]) -> str:
    lines = [
        "\\* The server's core was not busy all the time: the load generator was the limit, and the server could do "
        "more. The CPU a request is what compares.",
        "",
        "In V2 Loopwright is asked with a tensor a column, as it knows columns by name; servers of a matrix are asked "
        "with one tensor, which is less to parse. In V1 both get a list a row.",
        "",
    ]
    for server in SERVERS:
        versions = ", ".join(f"{name} {version}" for name, version in result["versions"].get(server.key, {}).items())
        told = "; ".join(part for part in (server.note, versions) if part)
        if server.key in result["missing"]:
            told = f"not measured: {result['missing'][server.key]}"
        if told:
            lines.append(f"- {server.title}: {told}.")
    samples = Samples(result["samples"])
    many = [(title, samples.events(protocol, 1000)) for protocol, title in _PROTOCOLS.items()]
    shares = [f"{title} {events['counted'] / events['predicted']:.0%}" for title, events in many if events["predicted"]]
    if shares:
        lines += ["", f"Events that the monitor counted of 1,000-row requests at saturation: {', '.join(shares)}."]
        lines[-1] += " The others were dropped, and counted as dropped, so that predictions do not wait for it."
    return "\n".join(lines)
