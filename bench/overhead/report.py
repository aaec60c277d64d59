"""The section of docs/benchmarks.md, between its markers, and the numbers as JSON."""

import json
from pathlib import Path
from typing import Any

from bench import sections
from bench.overhead.peers import PIPELINES, Pipeline
from bench.serving.report import machine, spread


def write(result: dict[str, Any], docs: Path, numbers: Path) -> None:
    """Put the section into the document and the numbers beside it."""
    numbers.write_text(json.dumps(result | {"machine": machine()}, indent=1) + "\n")
    sections.put(docs, "overhead", section(result))


def per_step(one: dict[str, dict[str, float]], pipeline: Pipeline, what: str) -> float:
    """What each further step costs in one round: the long chain's less the short one's, a step."""
    return (one["long"][what] - one["short"][what]) / (pipeline.most - pipeline.least)


def section(result: dict[str, Any]) -> str:
    """The table in Markdown; a value is the median of the rounds (least-greatest)."""
    where, samples = machine(), result["samples"]
    lines = [
        "## Overhead of a pipeline's steps",
        "",
        "`python -m bench.overhead` runs a long chain of steps that add one to a number, and the shortest that there "
        f"is, each in turn, {result['rounds']} times: {where['cores']} cores of {where['cpu']}, Linux "
        f"{where['kernel']}, Python {where['python']}. A step is the difference of the two, divided by the steps "
        "between them; CPU is that of all processes, user and system. Values are medians (least-greatest), and a ratio "
        "is of one round. All have "
        "their defaults, and keep what happened in files of a folder: Loopwright in its ledger, an entry a step.",
        "",
        "| pipeline | CPU a step, ms | times Loopwright's | ms a step | one step, CPU s | versions |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in PIPELINES:
        found = samples.get(one.key)
        if not found:
            if one.key in result["missing"]:
                lines.append(f"| {one.title} | not measured: {result['missing'][one.key]} | | | | |")
            continue
        cpu, seconds = (spread(1000 * per_step(many, one, what) for many in found) for what in ("cpu", "seconds"))
        whole = spread(many["short"]["cpu"] for many in found)
        lines.append(
            f"| {one.title} | {cpu} | {_ratio(samples, one)} | {seconds} | {whole} | {result['versions'][one.key]} |"
        )
    told = ", ".join(f"{value:.1f}" for value in result["load"])
    return "\n".join([*lines, "", f"Load of the machine (1 minute) at the start of the rounds: {told}."])


def _ratio(samples: dict[str, Any], one: Pipeline) -> str:
    ours = next(other for other in PIPELINES if other.key == "loopwright")
    pairs = zip(samples[one.key], samples.get(ours.key, ()), strict=False)
    values = [per_step(many, one, "cpu") / per_step(own, ours, "cpu") for many, own in pairs]
    return str(spread(values) or "")
