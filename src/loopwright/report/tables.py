"""The tables: gates, metrics, rollouts with the numbers behind each verdict, and the ledger as a chain."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from loopwright.ledger import GENESIS, Entry
from loopwright.loop import LOWER_IS_BETTER
from loopwright.report import facts as about
from loopwright.report.curves import calibrated
from loopwright.report.svg import elapsed, escape

MOST_ENTRIES = 300
NONE = "\N{EN DASH}"
_WORDS = {"promote": "go on", "roll_back": "roll back", "wait": "wait", "cannot_tell": "cannot tell"}
_METRICS = {
    "error_rate": "errors",
    "latency_p99": "slow requests",
    "prediction_shift": "prediction shift",
    "label_metric": "loss on labels",
}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "", caption: str = "") -> str:
    """A table of HTML cells. A head that begins with `#` is a column of numbers, aligned to the right."""
    numeric = [head.startswith("#") for head in heads]
    cells = "".join(
        f'<th scope="col"{_right(right)}>{escape(head.removeprefix("#"))}</th>'
        for head, right in zip(heads, numeric, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(f"<td{_right(right)}>{cell}</td>" for cell, right in zip(row, numeric, strict=True)) + "</tr>"
        for row in rows
    )
    named = f"<caption>{escape(caption)}</caption>" if caption else ""
    # What is wider than the screen scrolls in its own frame, which the keyboard must reach.
    label = escape(caption or "table")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table class="{kind}">{named}'
        f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def gates(judgement: Mapping[str, Any]) -> str:
    """The gates of one judgement, each with whether it was passed and the comparison in words."""
    rows = [
        (
            outcome(
                bool(gate.get("passed")), "passed", "cannot tell" if gate.get("state") == "cannot_tell" else "failed"
            ),
            escape(gate.get("gate", "")),
            f"<code>{escape(gate.get('metric', ''))}</code>",
            escape(gate.get("detail", "")),
        )
        for gate in judgement.get("gates") or ()
    ]
    return table(("", "gate", "metric", "what was compared"), rows, "gates", "Gates")


def outcome(good: bool, yes: str, no: str) -> str:
    """Passed or failed: by sign, word and colour."""
    return f'<span class="good">✓ {escape(yes)}</span>' if good else f'<span class="bad">✗ {escape(no)}</span>'


def metrics(evaluation: Mapping[str, Any], challenger: str, champion: str) -> str:
    """All metrics of a version beside the champion's on the same rows."""
    own, other = evaluation.get("metrics") or {}, (evaluation.get("champion") or {}).get("metrics") or {}
    heads = ["metric", f"#{challenger}"] + ([f"#{champion}", "#change"] if other else [])
    before = (evaluation.get("champion") or {}).get("intervals") or {}
    within, gains = evaluation.get("intervals") or {}, evaluation.get("gains") or {}
    rows = []
    for name, value in own.items():
        row = [f"<code>{escape(name)}</code>", figure(value) + bounds(within.get(name))]
        if other:
            change = _difference(name, value, other.get(name)) + _gained(name, gains.get(name))
            row += [figure(other.get(name)) + bounds(before.get(name)), change]
        rows.append(row)
    said = "Metrics on the held-out rows" + (", with 95 % intervals" if within else "")
    return table(heads, rows, "metrics", said)


def bounds(interval: Sequence[float] | None) -> str:
    """The two ends of an interval, small; nothing where there is none."""
    return f' <span class="muted">{figure(interval[0])} to {figure(interval[1])}</span>' if interval else ""


def _gained(name: str, gain: Mapping[str, float] | None) -> str:
    """The interval of a change, in the metric's own direction."""
    if not gain:
        return ""
    ends = [-gain["high"], -gain["low"]] if name in LOWER_IS_BETTER else [gain["low"], gain["high"]]
    return f' <span class="muted">{_signed(ends[0])} to {_signed(ends[1])}</span>'


def _difference(name: str, value: Any, before: Any) -> str:
    if not (_is_number(value) and _is_number(before)):
        return NONE
    gain = value - before
    if abs(gain) < 0.00005:
        return "0.0000"
    better = (gain < 0) == (name in LOWER_IS_BETTER)
    return f'<span class="{"good" if better else "bad"}">{_signed(gain)}</span>'


def behind_calibration(name: str, curves: Mapping[str, Any]) -> str:
    """The numbers of a calibration picture."""
    rows = [(f"{predicted:.3f}", f"{observed:.3f}", f"{count:,}") for predicted, observed, count in calibrated(curves)]
    return table(("#mean prediction", "#share observed", "#rows"), rows, "", f"Calibration of {name}")


def confusion(evaluation: Mapping[str, Any]) -> str:
    """The confusion matrix; nothing where there is none."""
    found = evaluation.get("confusion")
    if not found:
        return ""
    if len(found) > 2:
        names = [str(one) for one in evaluation.get("classes") or ()]
        heads = ("", *(f"#predicted {name}" for name in names))
        lines = [(f"truly {escape(name)}", *(f"{n:,}" for n in row)) for name, row in zip(names, found, strict=True)]
        return table(heads, lines, "", "Confusion: the most probable class is predicted")
    (negative, false_positive), (false_negative, positive) = found
    rows = [
        ("truly negative", f"{negative:,}", f"{false_positive:,}"),
        ("truly positive", f"{false_negative:,}", f"{positive:,}"),
    ]
    threshold = evaluation.get("threshold")
    return table(("", "#predicted negative", "#predicted positive"), rows, "", f"Confusion at {threshold}")


def verdicts(entries: Sequence[Entry], begin: datetime) -> str:
    """The verdicts of one rollout. The numbers behind those that decided, and behind the newest; why for the others."""
    rows = []
    for entry in entries:
        facts = entry.facts
        head = [
            elapsed((entry.at - begin).total_seconds()),
            f"{escape(facts.get('weight', '?'))} %",
            _verdict(facts),
            figure(facts.get("requests"), whole=True),
        ]
        evidence = facts.get("evidence") or {}
        decided = facts.get("verdict") in ("promote", "roll_back") or entry is entries[-1]
        if not (decided and evidence):
            rows.append([*head, *[""] * 4, f'<span class="brief">{escape(facts.get("reason", ""))}</span>', ""])
            continue
        # The ledger keeps facts sorted by name; people look at errors first.
        for index, metric in enumerate(sorted(evidence, key=lambda one: [*_METRICS, one].index(one))):
            rows.append([*(head if index == 0 else [""] * 4), *_evidence(metric, evidence[metric])])
    heads = ("#after", "#share", "verdict", "#requests", "metric", "#challenger", "#champion", "#limit", "evidence", "")
    return table(heads, rows, "verdicts", "Verdicts and the numbers behind them")


def _verdict(facts: Mapping[str, Any]) -> str:
    kind = facts.get("verdict", "")
    tone = {"promote": "good", "roll_back": "bad"}.get(kind, "muted")
    return f'<strong class="{tone}">{escape(_WORDS.get(kind, kind))}</strong>'


def _evidence(metric: str, one: Mapping[str, Any]) -> list[str]:
    """A metric's cells: both values, the limit, what the verdict rests on, and whether it is worse."""
    form = percent if metric in ("error_rate", "latency_p99") else figure
    rests = _rests(one)
    length = "short" if len(rests) < 60 else "long"
    state = "worse" if one.get("worse") else "not worse" if one.get("known") else "not known"
    return [
        escape(_METRICS.get(metric, metric)),
        form(one.get("challenger")),
        form(one.get("champion")),
        form(one.get("limit")),
        f'<span class="{length}" title="{escape(one.get("detail", ""))}">{escape(rests)}</span>',
        f'<span class="{"bad" if one.get("worse") else "muted"}">{state}</span>',
    ]


def _rests(one: Mapping[str, Any]) -> str:
    """What a metric's verdict rests on, in a few words; its whole sentence where that is not known."""
    if one.get("known") and "e_value" in one:
        return f"e-value {_short(one['e_value'])}, worse from {_short(one.get('needed'))}"
    if one.get("known") and "distance" in one:
        return f"{figure(one['distance'])} apart, at least {figure(one.get('bound'))}"
    if one.get("known") and "increase" in one:
        labels = figure(one.get("labels"), whole=True)
        return f"{_signed(one['increase'])}, at least {_signed(one.get('bound'))}; {labels} labels"
    return str(one.get("detail", ""))


def chain(entries: Sequence[Entry]) -> str:
    """The ledger's entries, each with its cause, its hash and the hash that it follows from."""
    shown = {entry.number for entry in entries}
    rows, day = [], ""
    before: Entry | None = None
    for entry in entries:
        # Entries of other loops lie in the same chain; this page does not have them.
        missing = entry.number - before.number - 1 if before is not None else 0
        if missing > 0:
            rows.append(f'<tr class="gap"><td colspan="5">{missing:,} of other loops</td></tr>')
        date = f"{entry.at:%Y-%m-%d}"
        if date != day:
            rows.append(f'<tr class="day"><th colspan="5" scope="rowgroup">{date} UTC</th></tr>')
            day = date
        rows.append(_row(entry, shown))
        before = entry
    heads = '<th scope="col" class="r">entry</th><th scope="col">at</th><th scope="col">what happened</th>'
    heads += '<th scope="col">because of</th><th scope="col">hash ← previous</th>'
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Ledger"><table class="chain">'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(entry: Entry, shown: set[int]) -> str:
    cause = ""
    if entry.cause is not None:
        cause = f'<a href="#e{entry.cause}">{entry.cause}</a>' if entry.cause in shown else str(entry.cause)
    previous = "genesis" if entry.previous == GENESIS else entry.previous[:8]
    return (
        f'<tr id="e{entry.number}"><td class="r">{entry.number}</td>'
        f'<td><time datetime="{entry.at.isoformat()}">{entry.at:%H:%M:%S}</time></td>'
        f'<td class="{about.toned(entry)}">{escape(about.said(entry))}</td><td>{cause}</td>'
        f'<td class="hash"><code>{escape(entry.hash[:8])}</code> <span>← {escape(previous)}</span></td></tr>'
    )


def figure(value: Any, *, whole: bool = False) -> str:
    """A number in a cell; a dash where there is none."""
    if not _is_number(value):
        return NONE
    return f"{value:,.0f}" if whole else f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.1f}"


def percent(value: Any) -> str:
    """A share in a cell; a dash where there is none."""
    return f"{value * 100:.2f} %" if _is_number(value) else NONE


def _short(value: Any) -> str:
    if not _is_number(value):
        return NONE
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}" if value < 1e6 else "over 1,000,000"


def _signed(value: Any) -> str:
    if not _is_number(value):
        return NONE
    return f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _right(right: bool) -> str:
    return ' class="r"' if right else ""
