"""One HTML page of a loop's story, complete in itself: it names no other file and needs no network and no script.

    Facts -> sections (headline, moments, traffic, drift, judgements, rollouts, ledger) -> page

Pictures over time are in the page twice, for wide and for narrow screens, and the style sheet shows one of them.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from typing import Any

from loopwright.ledger import Entry
from loopwright.report import charts, curves, headline, series, tables
from loopwright.report.charts import NARROW, WIDE, Axis
from loopwright.report.curves import Side
from loopwright.report.facts import Facts, at
from loopwright.report.svg import elapsed, escape

__all__ = ["Facts", "render"]

MOST_JUDGEMENTS = 4
MOST_ROLLOUTS = 8


def render(facts: Facts) -> str:
    """The whole page."""
    name = escape(facts.loop.name)
    style = files("loopwright.report").joinpath("page.css").read_text(encoding="utf-8")
    sections = (_header, _moments, _traffic, _drift, _judgements, _rollouts, _ledger, _footer)
    body = "\n".join(section(facts) for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        # Whatever a name in the data may try: nothing is loaded and no script runs.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{name}: Loopwright report</title>\n<style>\n{style}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )


def _header(facts: Facts) -> str:
    told = headline.sentences(facts)
    state = (
        "" if facts.champion is None else f"<p class='serves'>version {escape(facts.champion.facts.get('version'))}</p>"
    )
    lead = f'<p class="lead">{escape(told[0])}</p>' + "".join(f"<p>{escape(text)}</p>" for text in told[1:])
    figures = {**headline.figures(facts), "ledger": _verified_short(facts)}
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in figures.items())
    return f"<header><h1>{escape(facts.loop.name)}</h1>{state}{lead}<dl class='figures'>{listed}</dl></header>"


def _moments(facts: Facts) -> str:
    told = facts.timeline
    if not told.moments:
        return _section("moments", "What happened", _words("Nothing that is worth a mark has happened yet."))
    begin = f"{at(told.zero):%Y-%m-%d %H:%M:%S} UTC"
    note = f"Times count from A, {begin}. A line leads from each moment to what it caused."
    if any(moment.cause is not None and not moment.recorded for moment in told.moments):
        note += " Where it is dashed, the cause is not in the ledger: the moment only came next."
    if told.left_out:
        note += f" The newest {len(told.moments)} moments are drawn; {told.left_out:,} older ones are in the ledger."
    return _section("moments", "What happened", _note(note), _both(lambda width: charts.timeline(told, width)))


def _axis(facts: Facts) -> Axis:
    """The time of the series, counted from the first moment where that lies in or near it."""
    begin, end = facts.series[0]["at"], facts.series[-1]["at"]
    told = facts.timeline
    if told.moments and begin - (end - begin) <= told.zero <= end:
        return Axis(told.zero, begin, end, charts.since(told.moments[0]))
    return Axis(begin, begin, end, f"{at(begin):%Y-%m-%d %H:%M:%S} UTC")


def _traffic(facts: Facts) -> str:
    found = series.traffic(facts.series)
    if not found.runs:
        return _section("traffic", "Traffic", _words(_NO_SERIES))
    axis, colours = _axis(facts), _colours(facts)
    rows = [
        (f"version {escape(one)}", f"{found.requests[one]:,}", f"{found.errors.get(one, 0):,}")
        for one in colours
        if one in found.requests
    ]
    total, failed = sum(found.requests.values()), sum(found.errors.values())
    note = f"{total:,} requests were counted at the gateway in {elapsed(axis.end - axis.begin)}; {failed or 'none'} failed."
    return _section(
        "traffic",
        "Traffic",
        _note(note + _thinned(found.seconds_a_point, "the mean")),
        _both(lambda width: charts.traffic(found, axis, facts.timeline, colours, width)),
        _details(tables.table(("", "#requests", "#errors"), rows, "", "Requests by version")),
    )


def _drift(facts: Facts) -> str:
    limit = facts.loop.monitor.min_effect
    found = series.drift(facts.series, limit)
    if not found.distance:
        words = _NO_SERIES if not facts.series else "The monitor had nothing to say yet: no window had any events."
        return _section("drift", "Drift", _words(words))
    axis, told, score = _axis(facts), facts.timeline, {line.name: line for line in found.score}
    rows = [
        (escape(line.name), f"{line.peak:.3f}", f"{score[line.name].peak:.2f}", "drifted" if line.drifted else "")
        for line in found.distance
    ]
    drifted = [line for line in found.distance if line.drifted]
    note = (
        f"A feature has drifted when its distance reaches {limit:g} and its test statistic the critical value, "
        f"which is set so that the whole loop gives {facts.loop.monitor.false_alarms} false alarms at most. "
        f"{len(drifted) or 'No'} of {len(found.distance)} features did"
    )
    more = len(drifted) - charts.MOST_LABELLED
    note += f"; the {charts.MOST_LABELLED} farthest are coloured." if more > 0 else "."
    for moment, version in found.switches[1:]:
        note += f" From {elapsed(moment - axis.zero)} on, version {version} is looked at: its reference is its own."
    note += _thinned(found.seconds_a_point, "the greatest value")
    heads = ("feature", "#greatest distance", "#greatest score", "")
    return _section(
        "drift",
        "Drift",
        _note(note),
        _both(lambda width: charts.drift(found, axis, told, "distance", limit, width)),
        _both(lambda width: charts.drift(found, axis, told, "score", 1.0, width)),
        _details(tables.table(heads, rows, "", "Greatest drift by feature")),
    )


def _judgements(facts: Facts) -> str:
    judged = [entry for entry in facts.entries if entry.kind == "judged"]
    shown = judged[-MOST_JUDGEMENTS:]
    blocks = [_judgement(facts, entry) for entry in reversed(shown)]
    # A version whose judgement is not in this ledger, as after a move, still has its evaluation.
    judged_versions = {_version(facts, entry) for entry in judged}
    rest = [one for one in sorted(facts.evaluations, reverse=True) if one not in judged_versions]
    blocks += [_block(facts, one, facts.evaluations[one], None) for one in rest[: MOST_JUDGEMENTS - len(shown)]]
    if not blocks:
        blocks = [_words("No model has been judged yet.")]
    older = len(judged) - len(shown)
    note = "Each model was judged on held-out rows, beside the version that served then, on the same rows."
    note += f" The newest {len(shown)} judgements are shown; {older:,} older ones are in the ledger." if older else ""
    return _section("judged", "Judgements", _note(note), *blocks)


def _judgement(facts: Facts, entry: Entry) -> str:
    version = _version(facts, entry)
    evaluation = facts.evaluations.get(version) if version is not None else None
    return _block(facts, version, {**entry.facts, **(evaluation or {})}, entry)


def _version(facts: Facts, judged: Entry) -> int | None:
    """The version that was registered on a judgement, if one was."""
    registered = (one for one in facts.entries if one.kind == "registered" and one.cause == judged.number)
    return next((one.facts.get("version") for one in registered), None)


def _block(facts: Facts, version: int | None, evaluation: Mapping[str, Any], entry: Entry | None) -> str:
    own = "the model" if version is None else f"version {version}"
    before = evaluation.get("champion") or {}
    champion = f"version {before.get('version')}"
    colours = _colours(facts)
    passed = tables.outcome(bool(evaluation.get("passed")), "passed", "did not pass")
    came = "" if version is not None else ", no version was registered"
    rows = evaluation.get("rows")
    on = f" on {rows:,} rows" if isinstance(rows, int) else ""
    where = "" if entry is None else f' <a class="muted" href="#e{entry.number}">entry {entry.number}</a>'
    sides = [Side(own, colours.get(str(version), 0), evaluation.get("curves") or {})]
    if evaluation.get("champion_curves"):
        sides.append(Side(champion, colours.get(str(before.get("version")), 1), evaluation["champion_curves"]))
    metrics = tables.metrics(evaluation, own, champion) if evaluation.get("metrics") else ""
    pictures = _pictures(sides, evaluation, before.get("metrics") or {})
    return (
        f"<article><h3>{escape(own[0].upper() + own[1:])}: {passed} its gates{on}{came}{where}</h3>"
        f"{tables.gates(evaluation)}<div class='row'>{pictures}<div class='side'>{metrics}</div></div>"
        f"{_behind(sides, evaluation)}</article>"
    )


def _pictures(sides: list[Side], evaluation: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    own = sides[0].curves
    if "residuals" in own:
        return curves.residuals(sides)
    if not own:
        return _words("The curves of this model are not kept; only a registered version has them.")
    areas = [(evaluation.get("metrics") or {}).get("roc_auc"), before.get("roc_auc")]
    return curves.roc(sides, areas[: len(sides)]) + curves.calibration(sides)


def _behind(sides: list[Side], evaluation: Mapping[str, Any]) -> str:
    found = [tables.behind_calibration(side.name, side.curves) for side in sides if side.curves.get("calibration")]
    confusion = tables.confusion(evaluation)
    return _details(*found, confusion) if found or confusion else ""


def _rollouts(facts: Facts) -> str:
    began = [entry for entry in facts.entries if entry.kind == "rollout"]
    shown = began[-MOST_ROLLOUTS:]
    blocks = [_rollout(facts, entry) for entry in reversed(shown)] or [_words("No rollout has begun yet.")]
    if len(shown) < len(began):
        blocks.insert(0, _note(f"The newest {len(shown)} rollouts are shown, of {len(began):,}."))
    return _section("rollouts", "Rollouts", *blocks)


def _rollout(facts: Facts, begin: Entry) -> str:
    following = _following(facts, begin)
    verdicts = [entry for entry in following if entry.kind == "verdict"]
    end = next((entry for entry in following if entry.kind in ("promoted", "rolled_back")), None)
    version, champion = begin.facts.get("version"), begin.facts.get("champion")
    over = f" over version {champion}" if champion is not None else ""
    steps = " → ".join(f"{step} %" for step in begin.facts.get("steps") or ())
    if end is None:
        outcome = '<span class="muted">under way</span>'
    else:
        taken = elapsed(end.facts.get("seconds") or (end.at - begin.at).total_seconds())
        outcome = tables.outcome(end.kind == "promoted", f"promoted after {taken}", f"rolled back after {taken}")
    head = f"<h3>Version {escape(version)}{escape(over)}: {outcome}</h3>"
    plan = (
        f"{begin.facts.get('strategy')}, {steps}" if steps else "there was no champion, so it took all traffic at once"
    )
    reason = f" {str(end.facts['reason'])}." if end is not None and end.facts.get("reason") else ""
    table = tables.verdicts(verdicts, begin.at) if verdicts else ""
    return f"<article>{head}{_note(f'{plan}.{reason}')}{table}</article>"


def _following(facts: Facts, begin: Entry) -> list[Entry]:
    """The entries that a rollout led to."""
    numbers, found = {begin.number}, []
    for entry in facts.entries:
        if entry.cause in numbers and entry.kind in ("shifted", "verdict", "promoted", "rolled_back"):
            numbers.add(entry.number)
            found.append(entry)
    return found


def _ledger(facts: Facts) -> str:
    shown = list(facts.entries[-tables.MOST_ENTRIES :])
    left_out = len(facts.entries) - len(shown)
    note = "Each entry's hash covers its content and the hash before it."
    if left_out:
        note += f" The newest {len(shown):,} entries are here; `loopwright history` tells the {left_out:,} before them."
    if facts.verified is True:
        state = '<p class="state good">✓ The chain holds: every entry is as it was written.</p>'
    elif facts.verified is False:
        state = '<p class="state muted">The chain was not followed for this page.</p>'
    else:
        state = f'<p class="state bad">✗ {escape(facts.verified)}</p>'
    return _section("ledger", "Ledger", state, _note(note), tables.chain(shown))


def _footer(facts: Facts) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in facts.notes)
    listed = f"<p>What could not be read:</p><ul>{notes}</ul>" if notes else ""
    digest = escape(facts.loop.digest[:12])
    made = f"Written by Loopwright, {facts.generated:%Y-%m-%d %H:%M:%S} UTC, of the declaration <code>{digest}</code>."
    return f"<footer>{listed}<p>{made}</p></footer>"


_NO_SERIES = "There is no series to draw: it is written while `loopwright up` runs, and it has not run yet."


def _verified_short(facts: Facts) -> str:
    state = {True: "verified", False: "not verified"}.get(facts.verified, "does not verify")  # type: ignore[call-overload]
    return f"{len(facts.entries):,} entries, {state}"


def _colours(facts: Facts) -> dict[str, int]:
    return {version: index for index, version in enumerate(facts.versions)}


def _thinned(seconds: float, what: str) -> str:
    return f" Each point is {what} of {elapsed(seconds)}." if seconds else ""


def _both(draw: Callable[[float], str]) -> str:
    return f'<div class="wide">{draw(WIDE)}</div><div class="narrow">{draw(NARROW)}</div>'


def _section(name: str, title: str, *parts: str) -> str:
    return f'<section id="{name}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'


def _note(text: str) -> str:
    return f'<p class="about">{_code(text)}</p>'


def _words(text: str) -> str:
    return f'<p class="nothing">{_code(text)}</p>'


def _code(text: str) -> str:
    """Escaped text, in which what stands in backticks is code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def _details(*parts: str) -> str:
    return f"<details><summary>The numbers</summary>{''.join(_filled(parts))}</details>"


def _filled(parts: Iterable[str]) -> Iterable[str]:
    return (part for part in parts if part)
