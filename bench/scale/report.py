"""From the measurements to docs/scale.md: what each part costs, what one more adds, and what that comes to."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench import sections
from bench.serving.report import number

BEGIN, END = sections.marks("scale")
BUSY = 0.5
"""How busy a core may be on average, so that the loss of a replica, or a canary's second version, finds room."""
RATES = (10, 1_000, 100_000)
LOOPS = (1, 100, 10_000)
REPLICAS = 2
RUN_ENTRIES, ROLLOUT_ENTRIES = 8, 12
"""Ledger entries of a run, and about as many as a rollout of four steps writes."""

Row = Sequence[Any]


def write(result: dict[str, Any], serving: dict[str, Any], docs: Path) -> None:
    """Put the section into the page, which is made where there is none."""
    sections.put(docs, "scale", body(result, serving), title="Scale")


def body(result: dict[str, Any], serving: dict[str, Any]) -> str:
    """The section: each part by size, then requests and loops by number."""
    cpu = result["machine"]
    parts = [
        f"`python -m bench.scale` on one machine ({cpu['cpu']}, Python {cpu['python']}). CPU is user and system time; "
        "memory is the greatest that a process of its own had resident, with all that it imports.",
        "", "### A replica's monitor", "", *_monitors(result["monitors"]),
        "", "### A pipeline's steps", "", *_steps(result["steps"]),
        "", "### The ledger", "", *_ledgers(result["ledgers"]),
        "", "### Prometheus", "", *_prometheus(result["prometheus"]),
        "", "### Requests a second", "", *_requests(result["monitors"], serving),
        "", "### Loops on one cluster", "", *_loops(result),
    ]  # fmt: skip
    return "\n".join(parts)


def _monitors(found: list[dict[str, Any]]) -> list[str]:
    rows = [
        (one["features"], one["versions"], number(one["row_us"]), number(one["look_ms"]), number(one["scrape_ms"]),
         f"{one['series']:,}", number(one["scrape_kb"]), number(one["peak_mb"]))
        for one in found
    ]  # fmt: skip
    fixed, feature = _series(found)
    return [
        *_table(
            "features | versions | CPU of a row, us | of a look, ms | of a scrape, ms | series | scrape, kB | "
            "memory, MB",
            rows,
        ),
        "",
        f"One more feature of one version is {feature:.0f} series, one more version {fixed:.0f} without its features. "
        "Nothing of it grows with traffic.",
    ]


def _series(found: list[dict[str, Any]]) -> tuple[float, float]:
    """Series that a version has besides its features', and of each feature, by the two ends of the measured sizes."""
    two = sorted((one for one in found if one["versions"] == 2), key=lambda one: one["features"])
    few, many = two[0], two[-1]
    feature = (many["series"] - few["series"]) / (many["features"] - few["features"]) / 2
    return few["series"] / 2 - feature * few["features"], feature


def _steps(found: list[dict[str, Any]]) -> list[str]:
    names = list(found[0]["steps"])
    rows = [
        (f"{one['rows']:,}", one["features"],
         *(f"{number(one['steps'][name]['cpu_s'])} s, {one['steps'][name]['peak_mb']:,.0f} MB" for name in names))
        for one in found
    ]  # fmt: skip
    few, many = (one for one in (found[0], max(found, key=lambda one: one["rows"])))
    more = (many["rows"] - few["rows"]) / 1e6
    added = {name: (many["steps"][name]["peak_mb"] - few["steps"][name]["peak_mb"]) / more for name in names}
    cpu = sum(many["steps"][name]["cpu_s"] - few["steps"][name]["cpu_s"] for name in names) / more
    greatest = max(added, key=lambda name: added[name])
    return [
        *_table(" | ".join(["rows", "features", *names]), rows),
        "",
        f"A million more rows of {few['features']} features are {number(cpu)} s of CPU, and memory of "
        + ", ".join(f"{value:,.0f} MB to {name}" for name, value in added.items())
        + f". The step that needs most is {greatest}.",
    ]


def _ledgers(found: list[dict[str, Any]]) -> list[str]:
    rows = [
        (f"{one['entries']:,}", one["loops"], number(one["append_ms"]), number(one["append_wall_ms"]),
         f"{number(one['read_ms'])} ({one['read_entries']:,})", number(one["verify_us"]), number(one["kb"]))
        for one in found
    ]  # fmt: skip
    head = (
        "entries | loops | CPU of an append, ms | its time with the disk, ms | CPU of one loop's history, ms (entries) "
        "| of the check an entry, us | kB an entry"
    )
    return [*_table(head, rows), "", "SQLite here; an append waits for the disk, as PostgreSQL's does."]


def _prometheus(found: list[dict[str, Any] | None]) -> list[str]:
    known = [one for one in found if one is not None]
    if not known:
        return ["There was no Prometheus."]
    rows = [
        (one["loops"], f"{one['series']:,.0f}", f"{one['rules']:,.0f}", number(one["resident_mb"]),
         number(one["cpu_s"] * 1e3))
        for one in known
    ]  # fmt: skip
    memory, cpu = _slope(known, "series", "resident_mb"), _slope(known, "loops", "cpu_s")
    return [
        *_table(
            "replicas, a loop each | series | rules | memory, MB | CPU of a scrape of all and of all rules, ms", rows,
        ),
        "",
        f"20 features and two versions a replica. One more series is {memory * 1e3:.1f} kB of memory, one more loop "
        f"with one replica {cpu * 1e3:.1f} ms of CPU every 15 s.",
    ]  # fmt: skip


def _slope(found: list[dict[str, Any]], of: str, what: str) -> float:
    """What one more adds, by the two ends."""
    return float((found[-1][what] - found[0][what]) / (found[-1][of] - found[0][of]))


def _requests(monitors: list[dict[str, Any]], serving: dict[str, Any]) -> list[str]:
    row = next(one["row_us"] for one in monitors if (one["features"], one["versions"]) == (20, 2))
    costs = {
        protocol: statistics.median(
            one["full"]["cpu_us"] for one in serving["samples"]
            if (one["server"], one["protocol"], one["rows"]) == ("monitored", protocol, 1)
        )
        for protocol in ("v1", "v2", "grpc")
    }  # fmt: skip
    rows = [
        (f"{rate:,}", *(_cores(rate * cost / 1e6) for cost in costs.values()), _cores(rate * row / 1e6))
        for rate in RATES
    ]
    names = {"v1": "V1", "v2": "V2", "grpc": "gRPC"}
    told = ", ".join(f"{number(cost)} us ({names[protocol]})" for protocol, cost in costs.items())
    return [
        *_table("requests of one row a second | cores of predictors, V1 | V2 | gRPC | cores of monitors", rows),
        "",
        f"A request costs {told} with the monitor attached ([benchmarks.md](benchmarks.md)), a row in the monitor "
        f"{number(row)} us. Cores are meant to be {BUSY:.0%} busy.",
    ]


def _cores(busy: float) -> str:
    return number(max(busy / BUSY, 0.01))


def _loops(result: dict[str, Any]) -> list[str]:
    fixed, feature = _series(result["monitors"])
    known = [one for one in result["prometheus"] if one is not None]
    trigger = result["trigger"]["resident_mb"]
    kb = result["ledgers"][-1]["kb"]
    rows = []
    for loops in LOOPS:
        series = loops * REPLICAS * (fixed + 20 * feature)
        memory = series * _slope(known, "series", "resident_mb") / 1e3 if known else float("nan")
        cores = loops * REPLICAS * _slope(known, "loops", "cpu_s") / 15 if known else float("nan")
        entries = loops * (RUN_ENTRIES + ROLLOUT_ENTRIES)
        rows.append(
            (f"{loops:,}", f"{series:,.0f}", f"{number(memory)} GB, {number(cores)} cores",
             f"{number(loops * trigger / 1e3)} GB", f"{entries:,} ({number(entries * kb * 365 / 1e6)} GB a year)")
        )  # fmt: skip
    return [
        *_table(
            "loops | series | Prometheus | triggers' memory | ledger entries a day, one run and rollout each", rows
        ),
        "",
        f"{REPLICAS} replicas a loop, one version of 20 features, scraped and judged every 15 s. A trigger that waits "
        f"has {number(trigger)} MB resident.",
    ]


def _table(head: str, rows: Iterable[Row]) -> list[str]:
    columns = head.split(" | ")
    lines = [f"| {' | '.join(columns)} |", f"|{' ---: |' * len(columns)}"]
    return [*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)]
