"""The section of docs/monitor.md, between its markers, and the numbers as JSON."""

import json
from pathlib import Path
from typing import Any

from bench import sections
from bench.serving.report import Spread, machine, spread

BEGIN, END = sections.marks("events")
# From issue 5.
LEAST_ROWS, LEAST_EVENTS, MOST_EVALUATION_MS, MOST_MB = 300_000, 25_000, 1.0, 150


def write(result: dict[str, Any], docs: Path, numbers: Path) -> None:
    """Put the section into the document and the numbers beside it."""
    numbers.write_text(json.dumps(result | {"machine": machine()}, indent=1) + "\n")
    sections.put(docs, "events", section(result))


def section(result: dict[str, Any]) -> str:
    """The tables in Markdown; a value is the median of the rounds (least-greatest)."""
    where = machine()
    rows = _rate(result, "batches")
    v1, v2, sink, floor = (_rate(result, name) for name in ("v1", "v2", "sink", "floor"))
    ratio, over = (_ratio(result[a], result[b], "cpu_us") for a, b in (("sink", "v1"), ("v1", "floor")))
    lines = [
        "`python -m bench.events` starts the monitor as a process of its own on one core and sends from the other: "
        f"{where['cpu']}, Python {where['python']}. Rates are by CPU time of the server's "
        "process, user and system, with HTTP, decoding, joining and counting in it; the clock is read when everything "
        "is counted. Values are medians of the rounds (least-greatest).",
        "",
        "| what | measured | target | |",
        "| --- | --- | --- | --- |",
        _line("rows a second and core, our batches of 1,000", rows, LEAST_ROWS, "at least {:,.0f}", True),
        _line("KServe's events a second and core, one a request, V1", v1, LEAST_EVENTS, "at least {:,.0f}", True),
        _line("the same, V2", v2, LEAST_EVENTS, "at least {:,.0f}", True),
        _line("the same, V1, a plain FastAPI and cloudevents sink", sink, None, "", True),
        _line(
            "the same, V1, the floor: HTTP read as the monitor does, acknowledged, nothing else", floor, None, "", True
        ),
        f"| CPU of the monitor an event, times the floor's | {_text(over)} | | |",
        f"| CPU of the sink an event, times the monitor's | {_text(ratio)} | | |",
        _line("evaluation of 20 features from counts, ms", _ms(result, "counts"), MOST_EVALUATION_MS, "under {:g}"),
        _line("the same from 10,000 rows, ms", _ms(result, "rows"), None, ""),
    ]
    for name, title in (("evidently", "Evidently's drift preset"), ("nannyml", "NannyML's univariate drift")):
        if name not in result["evaluation"]:
            lines.append(f"| {title} | not measured: {result['missing'].get(name, '')} | | |")
            continue
        pairs = {
            base: spread(a / b for a, b in zip(result["evaluation"][name], result["evaluation"][base], strict=True))
            for base in ("rows", "counts")
        }
        lines.append(_line(f"{title} from 10,000 rows, ms", _ms(result, name), None, ""))
        least = {"rows": 250, "counts": 1000} if name == "evidently" else {"rows": None, "counts": None}
        for base, found in pairs.items():
            lines.append(_line(f"{title}, times ours from {base}", found, least[base], "at least {:,.0f}"))
    lines += [
        _line("memory after all of it, MB", spread(one["memory"] for one in result["process"]), MOST_MB, "under {:g}"),
        _line("seconds until it answers", spread(one["start"] for one in result["process"]), 1, "under {:g}"),
    ]
    told = ", ".join(f"{value:.1f}" for value in result["process"][0]["over_time"])
    lines += ["", f"Memory of the first round's monitor after each tenth of its batches: {told} MB."]
    lines += ["", f"Load of the machine (1 minute) at the start of the rounds: {', '.join(map(str, result['load']))}."]
    return "\n".join(lines)


def _rate(result: dict[str, Any], name: str) -> Spread | None:
    return spread(one["per_core_second"] for one in result[name])


def _ms(result: dict[str, Any], name: str) -> Spread | None:
    return spread(1000 * value for value in result["evaluation"].get(name, ()))


def _ratio(left: list[dict[str, float]], right: list[dict[str, float]], what: str) -> Spread | None:
    return spread(one[what] / other[what] for one, other in zip(left, right, strict=False))


def _text(found: Spread | None) -> str:
    return str(found) if found is not None else "not measured"


def _line(what: str, found: Spread | None, target: float | None, text: str, whole: bool = False) -> str:
    if found is None:
        return f"| {what} | not measured | | |"
    shown = f"{found.median:,.0f} ({found.least:,.0f}-{found.most:,.0f})" if whole else str(found)
    if target is None:
        return f"| {what} | {shown} | | |"
    met = found.median < target if text.startswith("under") else found.median >= target
    return f"| {what} | {shown} | {text.format(target)} | {'met' if met else 'not met'} |"
