"""From counts to the page: tables between markers of docs/verdicts.md, and the picture."""

from pathlib import Path
from typing import Any

from bench import sections
from bench.verdicts import picture
from bench.verdicts.rules import RULES

BEGIN, END = sections.marks("verdicts")
NAMES = {
    "loopwright": "Loopwright",
    "naive": "z-test at every look",
    "fixed": "one fixed test",
    "flagger": "Flagger",
    "argo_example": "Argo, example",
    "argo_strict": "Argo, 99 %, limit 0",
}


def write(result: dict[str, Any], docs: Path, svg: Path) -> None:
    """Put the section into the page, which is made where there is none, and draw the picture beside it."""
    delays = [one for one in result["worse"] if one["key"] in ("errors", "latency", "auc")]
    svg.write_text(picture.draw(delays, NAMES))
    sections.put(docs, "verdicts", body(result, svg.name), title="Verdicts, by simulation")


def body(result: dict[str, Any], svg: str) -> str:
    """The section: equal versions, worse challengers, the tests that are made for themselves."""
    parts = ["### Equal versions: the share rolled back", "", *_equal(result["equal"], assumed=True)]
    parts += ["", "Outside the conditions of the guarantee:", "", *_equal(result["equal"], assumed=False)]
    parts += ["", "### Worse challengers: its requests until it is rolled back", "", *_worse(result["worse"])]
    parts += ["", f"![Requests until a worse challenger is rolled back]({svg})", ""]
    parts += [
        "The dot is the median, the line goes to the 90 % quantile, dashed where that is never.",
        "",
        "### Other tests",
        "",
    ]
    for one in result["ab"]:
        what = (
            "is as good" if not one["margin"] else f"has a loss that is higher by exactly the margin, {one['margin']:g}"
        )
        parts.append(
            f"- A/B test (Welch, {one['labels']} labels of each version): a challenger that {what} won "
            f"{one['won']} of {one['replicates']} times, {_share(one['won'] / one['replicates'], one['interval'])}."
        )
    one = result["disagreement"]
    parts.append(
        f"- Shadow: versions that disagree in exactly the allowed {one['limit']:.0%} of the requests, looked at every "
        f"20 of {one['pairs']:,}, were rolled back {one['worse']} of {one['replicates']} times, "
        f"{_share(one['worse'] / one['replicates'], one['interval'])}."
    )
    return "\n".join([*parts, "", f"All of it took {result['processor_seconds'] / 60:.0f} minutes of one core."])


def _equal(experiments: list[dict[str, Any]], *, assumed: bool) -> list[str]:
    rows = [f"| strategy | both versions | n | {' | '.join(NAMES.values())} |", "| --- " * (3 + len(NAMES)) + "|"]
    for one in experiments:
        if one["assumed"] == assumed:
            cells = [_share(rule["share"], rule["interval"]) for rule in (one["rules"][key] for key in RULES)]
            strategy = one["strategy"].replace("_", "/")
            rows.append(f"| {strategy} | {one['what']} | {one['replicates']} | {' | '.join(cells)} |")
    return rows


def _worse(experiments: list[dict[str, Any]]) -> list[str]:
    rows = ["| fault | traffic | rule | median | 90 % | missed |", "| --- | --- | --- | ---: | ---: | --- |"]
    for one in experiments:
        traffic = f"canary, steps of {one['step']:,}" if one["weight"] is None else f"{one['weight']} %"
        for key, rule in one["rules"].items():
            median, late = ("never" if value is None else f"{value:,.0f}" for value in (rule["median"], rule["late"]))
            missed = _share(rule["missed"], rule["interval"])
            rows.append(f"| {one['what']} | {traffic} | {NAMES[key]} | {median} | {late} | {missed} |")
    return rows


def _share(share: float, interval: list[float]) -> str:
    return f"{share:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"
