"""From numbers to the page: tables between markers of docs/alarms.md, and two pictures beside it."""

from pathlib import Path
from typing import Any

from bench import sections
from bench.drift import picture

BEGIN, END = sections.marks("drift")
NAMES = {
    "loopwright": "Loopwright",
    "tuned": "its detectors, tuned",
    "ks_bh": "K-S with BH",
    "evidently": "Evidently",
    "nannyml": "NannyML",
    "adwin": "ADWIN (river)",
    "conformal": "conformal CUSUM",
}
# A CUSUM has no threshold of its own.
AS_THEY_COME = tuple(name for name in NAMES if name not in ("tuned", "conformal"))
REFERENCES = {"year": "against all of 2011", "season": "against the same months of 2011"}


def write(result: dict[str, Any], docs: Path) -> None:
    """Put the section into the page, which is made where there is none, and draw the pictures beside it."""
    docs.with_name("drift_delays.svg").write_text(picture.delays(result["cases"], NAMES))
    if not result["bike"]["skipped"]:
        docs.with_name("drift_bike.svg").write_text(picture.bike(result["bike"], REFERENCES))
    sections.put(docs, "drift", body(result), title="Drift alarms, by simulation")


def broken(result: dict[str, Any]) -> list[str]:
    """Where the budget was surely not kept: even the interval's lower end is above what was allowed."""
    return [
        f"{one['window']} rows, {one['features']} features: {one['significance']} of {one['allowed']} allowed"
        for one in result["none"]
        if one["interval"][0] > one["allowed"]
    ]


def body(result: dict[str, Any]) -> str:
    """The section."""
    parts = ["### No drift: false alarms, of so many allowed", "", *_none(result["none"])]
    parts += ["", "### Customers who repeat a row", "", *_repeats(result["repeats"])]
    parts += ["", "### Drift: rows until the alarm, at the same rate of false alarms", ""]
    parts += ["Median and 90 % quantile of n runs; the least median is in bold.", "", *_delays(result["cases"])]
    parts += ["", "![Rows from the onset to the alarm](drift_delays.svg)", ""]
    parts += ["The dot is the median, the line goes to the 90 % quantile, dashed where that is never.", ""]
    parts += ["### The rules as they come", "", *_defaults(result["cases"])]
    parts += ["", "### Which feature is named first", "", *_ranking(result["ranking"])]
    return "\n".join([*parts, "", "### Two years of bike hire", "", *_bike(result["bike"])])


def _none(found: list[dict[str, Any]]) -> list[str]:
    rows = ["| window | features | windows seen | allowed | begun, declared | begun, `min_effect: 0` | 95 % interval |"]
    rows.append("| ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for one in found:
        low, high = one["interval"]
        rows.append(
            f"| {one['window']:,} | {one['features']} | {one['runs'] * 30:,} | {one['allowed']} | {one['declared']} "
            f"| {one['significance']} | {low:.1f} to {high:.1f} |"
        )
    return rows


def _repeats(found: list[dict[str, Any]]) -> list[str]:
    rows = ["| equal rows a customer | allowed | begun, declared | begun, `min_effect: 0` |", "| ---: " * 4 + "|"]
    for one in found:
        rows.append(f"| {one['repeats']} | {one['allowed']} | {one['declared']} | {one['significance']} |")
    return rows


def _delays(cases: list[dict[str, Any]]) -> list[str]:
    rows = [
        f"| window | features | drift | n | {' | '.join(NAMES.values())} |",
        "| ---: | ---: | --- | ---: " + "| --- " * len(NAMES) + "|",
    ]
    for case in cases:
        for one in case["drifts"]:
            best = min(rule["median"] for rule in one["rules"].values() if rule["median"] is not None)
            cells = [_delay(one["rules"][key], best) for key in NAMES]
            rows.append(
                f"| {case['window']:,} | {case['features']} | {one['drift']} | {one['runs']} | {' | '.join(cells)} |"
            )
    return rows


def _delay(rule: dict[str, Any], best: float) -> str:
    median = "never" if rule["median"] is None else f"{rule['median']:,.0f}"
    if rule["median"] == best:
        median = f"**{median}**"
    late = "never" if rule["late"] is None else f"{rule['late']:,.0f}"
    return f"{median}, {late}" + (f", missed {rule['missed']:.0%}" if rule["missed"] else "")


def _defaults(cases: list[dict[str, Any]]) -> list[str]:
    names = " | ".join(NAMES[key] for key in AS_THEY_COME)
    rows = [f"| window | features | runs | {names} |", "| ---: " * (3 + len(AS_THEY_COME)) + "|"]
    for case in cases:
        calm = case["calm"]
        cells = [f"{calm['default'][key] / calm['runs']:.0%}" for key in AS_THEY_COME]
        rows.append(f"| {case['window']:,} | {case['features']} | {calm['runs']} | {' | '.join(cells)} |")
    return rows


def _ranking(found: list[dict[str, Any]]) -> list[str]:
    rows = ["| rows | runs | rule | the one that moved most is first | rank correlation | moved, of the first ten |"]
    rows.append("| ---: | ---: | --- | ---: | ---: | ---: |")
    names = {"loopwright": "Loopwright", "wasserstein": "Wasserstein over deviation"}
    for one in found:
        for key, name in names.items():
            rule = one[key]
            rows.append(
                f"| {one['window']:,} | {one['runs']} | {name} | {rule['first']:.0%} | {rule['spearman']:.2f} "
                f"| {rule['top']:.0%} |"
            )
    return rows


def _bike(found: dict[str, Any]) -> list[str]:
    if found["skipped"]:
        return [f"Not measured: {found['skipped']}."]
    names = sorted({name for alarms in found["alarms"].values() for name in alarms})
    rows = ["![Bike hires by week, with the alarms' dates](drift_bike.svg)", ""]
    rows += [f"| first alarm | {' | '.join(REFERENCES.values())} |", "| --- | --- | --- |"]
    for name in names:
        rows.append(f"| `{name}` | {' | '.join(found['alarms'][key].get(name, 'none') for key in REFERENCES)} |")
    said = ", ".join(f"`{name}`" for name in found["control"]) or "no alarm"
    return [*rows, "", f"One random half of 2011 against the other, in random order: {said}."]
