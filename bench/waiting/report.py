"""The section of docs/benchmarks.md, between its markers, and the numbers as JSON."""

import json
from pathlib import Path
from typing import Any

from bench import sections
from bench.serving.report import machine, spread

COMMANDS = {
    "python": "`python -c pass`",
    "help": "`loopwright --help`",
    "check": "`loopwright check`",
    "status": "`loopwright status`",
    "history": "`loopwright history`",
    "plain": "plain script: train and evaluate",
    "plain_mlflow": "the same, logged and registered in MLflow",
    "run": "`loopwright run`",
}
# Measured to tell what a run is made of.
PARTS = {
    "libraries": "pandas, Arrow and LightGBM imported",
    "registry": "the same, with MLflow's client imported and its database opened",
}
SERVERS = {
    "component": "component: a pod, to the end of its first step, the snapshot",
    "predictor": "predictor",
    "monitor": "monitor",
    "trigger": "trigger",
    "up": "`loopwright up`, to its first prediction",
}
# From issue 8: under twice the time of plain training and evaluation in one script.
MOST_TIMES = 2.0


def write(result: dict[str, Any], docs: Path, numbers: Path) -> None:
    """Put the section into the document and the numbers beside it."""
    numbers.write_text(json.dumps(result, indent=1) + "\n")
    sections.put(docs, "waiting", section(result))


def section(result: dict[str, Any]) -> str:
    """The tables in Markdown; a value is the median of the rounds (least-greatest)."""
    where, samples = result["machine"], result["samples"]
    lines = [
        "## Waiting",
        "",
        f"`python -m bench.waiting` runs each command in turn, {result['rounds']} times, with {result['rows']:,} rows "
        f"of ten inputs: {where['cores']} cores of {where['cpu']}, Linux {where['kernel']}, Python {where['python']}, "
        f"lightgbm {result['versions']['lightgbm']}, mlflow {result['versions']['mlflow']}. CPU is that of a command "
        "and of all processes that it starts, user and system, with one thread of OpenMP each. Values are medians "
        "(least-greatest); a ratio is of two samples of the same round. The state folder and MLflow's database are "
        "there already, and bytecode is compiled.",
        "",
        "| command | CPU, s | CPU, times the plain script's | seconds | largest process, MB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, title in COMMANDS.items():
        if name in samples:
            lines.append(f"| {title} | {_cells(samples, name, result['floor'])} |")
    lines += ["", *_targets(samples), *_made_of(samples)]
    lines += [
        "",
        "The plain script trains and evaluates; it neither validates rows, nor keeps a snapshot, a profile for the "
        "monitor, bounds for gates, a ledger and a version. In MLflow it is registered as its documentation does it; "
        "MLflow then loads the model in a process of its own to find what it needs.",
        "",
        "Each image's process by its command, from its start until it answers, and its memory then: the proportional "
        "set size of all of its processes.",
        "",
        "| process | seconds until it answers | CPU until then, s | memory, MB |",
        "| --- | --- | --- | --- |",
    ]
    for name, title in SERVERS.items():
        if name in samples:
            cells = [str(spread(one[what] for one in samples[name])) for what in ("seconds", "cpu", "peak")]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    for name, why in result["missing"].items():
        lines += ["", f"{(COMMANDS | PARTS | SERVERS)[name]} was not measured: {why}"]
    told = ", ".join(f"{value:.1f}" for value in result["load"])
    return "\n".join([*lines, "", f"Load of the machine (1 minute) at the start of the rounds: {told}."])


def _cells(samples: dict[str, list[dict[str, float]]], name: str, floor: float) -> str:
    cpu, seconds, peak = (spread(one[what] for one in samples[name]) for what in ("cpu", "seconds", "peak"))
    # The kernel counts a process' memory from its fork on, when it is still this program's.
    told = f"under {floor:.0f}" if peak is not None and peak.median <= floor else str(peak)
    return f"{cpu} | {_ratio(samples, name, 'plain', 'cpu') or ''} | {seconds} | {told}"


def _targets(samples: dict[str, list[dict[str, float]]]) -> list[str]:
    lines = ["| target | CPU | seconds | |", "| --- | --- | --- | --- |"]
    for base, title in (("plain", "the plain script's"), ("plain_mlflow", "those of the script that registers")):
        cpu, seconds = (_ratio(samples, "run", base, what) for what in ("cpu", "seconds"))
        if cpu is not None:
            mark = "met" if cpu.median < MOST_TIMES else "not met"
            lines.append(f"| `loopwright run` under {MOST_TIMES:g} times {title} | {cpu} | {seconds} | {mark} |")
    return lines


def _made_of(samples: dict[str, list[dict[str, float]]]) -> list[str]:
    """A run's CPU by what it is spent on; each part is a difference of samples of one round."""
    names = ("run", "plain", "history", "libraries", "registry")
    rounds = list(zip(*(samples.get(name, ()) for name in names), strict=False))
    if not rounds:
        return []
    parts: dict[str, list[tuple[float, float]]] = {}
    for one in rounds:
        run, plain, command, libraries, registry = (sample["cpu"] for sample in one)
        for title, cpu in (
            ("pandas, Arrow and LightGBM, imported", libraries),
            ("MLflow's client, imported, and its database opened", registry - libraries),
            ("the command itself, which reads declaration and ledger as `history` does", command),
            ("the steps, with a version registered and its card written", run - registry - command),
        ):
            parts.setdefault(title, []).append((cpu, cpu / plain))
    lines = ["", "| what `loopwright run` spends | CPU, s | times the plain script's |", "| --- | --- | --- |"]
    for title, found in parts.items():
        lines.append(f"| {title} | {spread(cpu for cpu, _ in found)} | {spread(ratio for _, ratio in found)} |")
    return lines


def _ratio(samples: dict[str, list[dict[str, float]]], name: str, base: str, what: str) -> Any:
    pairs = zip(samples.get(name, ()), samples.get(base, ()), strict=False)
    return spread(one[what] / other[what] for one, other in pairs)


def about() -> dict[str, Any]:
    """The machine and the versions that matter."""
    from importlib.metadata import version

    return {"machine": machine(), "versions": {name: version(name) for name in ("lightgbm", "mlflow")}}
