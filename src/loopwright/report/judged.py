"""What was judged and why, as sections of the page: each model's gates and curves, each rollout's verdicts."""

from collections.abc import Mapping
from typing import Any

from loopwright.ledger import Entry
from loopwright.report import curves, markup, parts, tables
from loopwright.report.curves import Side
from loopwright.report.facts import Facts
from loopwright.report.svg import elapsed, escape

MOST_JUDGEMENTS = 4
MOST_ROLLOUTS = 8


def judgements(facts: Facts) -> str:
    """The newest models, each with its gates, its curves and its metrics beside the champion's."""
    judged = [entry for entry in facts.entries if entry.kind == "judged"]
    shown = judged[-MOST_JUDGEMENTS:]
    blocks = [_judgement(facts, entry) for entry in reversed(shown)]
    # A version whose judgement is not in this ledger, as after a move, still has its evaluation.
    known = {facts.registered.get(entry.number) for entry in judged}
    rest = [one for one in sorted(facts.evaluations, reverse=True) if one not in known]
    blocks += [block(facts, one, facts.evaluations[one], None) for one in rest[: MOST_JUDGEMENTS - len(shown)]]
    if not blocks:
        blocks = [markup.words("No model has been judged yet.")]
    older = len(judged) - len(shown)
    note = "Each model was judged on held-out rows, beside the version that served then, on the same rows."
    note += f" The newest {len(shown)} judgements are shown; {older:,} older ones are in the ledger." if older else ""
    return markup.section("judged", "Judgements", markup.note(note), *blocks)


def _judgement(facts: Facts, entry: Entry) -> str:
    version = facts.registered.get(entry.number)
    evaluation = facts.evaluations.get(version) if version is not None else None
    run = entry.facts.get("run")
    trained = next((one.facts for one in facts.entries if one.kind == "trained" and one.facts.get("run") == run), {})
    learnt = {name: trained[name] for name in ("learning_curve",) if name in trained}
    return block(facts, version, {**entry.facts, **(evaluation or {}), **learnt}, entry)


def block(facts: Facts, version: int | None, evaluation: Mapping[str, Any], entry: Entry | None) -> str:
    """One judged model: its gates, its curves, and its metrics beside the champion's."""
    own = "the model" if version is None else f"version {version}"
    before = evaluation.get("champion") or {}
    champion = f"version {before.get('version')}"
    colours = facts.colours
    passed = tables.outcome(bool(evaluation.get("passed")), "passed", "did not pass")
    # Without an entry it was judged just now, and is yet to be registered.
    came = "" if version is not None or entry is None else ", no version was registered"
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
        f"{parts.classes(evaluation)}{parts.fairness(evaluation)}{parts.slices(evaluation)}"
        f"{_behind(sides, evaluation)}</article>"
    )


def _pictures(sides: list[Side], evaluation: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    own, learnt = sides[0].curves, evaluation.get("learning_curve") or {}
    also = curves.learning(learnt) if len(learnt.get("points") or ()) > 1 else ""
    if "residuals" in own:
        return curves.residuals(sides) + also
    if not own:
        return markup.words("The curves of this model are not kept; only a registered version has them.")
    areas = [curves.auc(evaluation.get("metrics")), curves.auc(before)]
    return (
        curves.roc(sides, areas[: len(sides)], **curves.words(evaluation))
        + curves.calibration(sides, **curves.words(evaluation))
        + also
    )


def _behind(sides: list[Side], evaluation: Mapping[str, Any]) -> str:
    found = [tables.behind_calibration(side.name, side.curves) for side in sides if side.curves.get("calibration")]
    confusion = tables.confusion(evaluation)
    return markup.details(*found, confusion) if found or confusion else ""


def rollouts(facts: Facts) -> str:
    """The newest rollouts, each with its verdicts."""
    began = [entry for entry in facts.entries if entry.kind == "rollout"]
    shown = began[-MOST_ROLLOUTS:]
    blocks = [_rollout(facts, entry) for entry in reversed(shown)] or [markup.words("No rollout has begun yet.")]
    if len(shown) < len(began):
        blocks.insert(0, markup.note(f"The newest {len(shown)} rollouts are shown, of {len(began):,}."))
    return markup.section("rollouts", "Rollouts", *blocks)


def _rollout(facts: Facts, begin: Entry) -> str:
    following = _following(facts, begin)
    verdicts = [entry for entry in following if entry.kind == "verdict"]
    # The last: a version that was promoted may have been taken back while the former one was kept.
    end = next((entry for entry in reversed(following) if entry.kind in ("promoted", "rolled_back")), None)
    version, champion = begin.facts.get("version"), begin.facts.get("champion")
    over = f" over version {champion}" if champion is not None else ""
    steps = " → ".join(f"{step} %" for step in begin.facts.get("steps") or ())
    strategy = str(begin.facts.get("strategy", "")).replace("_", "/").capitalize()
    if end is None:
        outcome = '<span class="muted">under way</span>'
    else:
        taken = elapsed(end.facts.get("seconds") or (end.at - begin.at).total_seconds())
        outcome = tables.outcome(end.kind == "promoted", f"promoted after {taken}", f"rolled back after {taken}")
    head = f"<h3>Version {escape(version)}{escape(over)}: {outcome}</h3>"
    plan = f"{strategy}: {steps}" if steps else "There was no champion, so it took all of the traffic at once"
    reason = f" {str(end.facts['reason']).rstrip('.')}." if end is not None and end.facts.get("reason") else ""
    table = tables.verdicts(verdicts, begin.at) if verdicts else ""
    return f"<article>{head}{markup.note(f'{plan}.{reason}')}{table}</article>"


_OF_A_ROLLOUT = ("shifted", "verdict", "paused", "intervened", "resumed", "promoted", "rolled_back")


def _following(facts: Facts, begin: Entry) -> list[Entry]:
    """The entries that a rollout led to."""
    numbers, found = {begin.number}, []
    for entry in facts.entries:
        if entry.cause in numbers and entry.kind in _OF_A_ROLLOUT:
            numbers.add(entry.number)
            found.append(entry)
    return found
