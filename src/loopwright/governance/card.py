"""The model card: what a version is for, what it was made of, how good it is and for whom, and what it must not do.

Sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting" (FAT*). What people know stands in the
loop's `card`; everything else is what was recorded, and what was not is said to be missing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from loopwright.governance import pictures
from loopwright.governance.answers import Answers
from loopwright.governance.document import Block, Document, Items, Missing, Section, Table, Text
from loopwright.loop import LOWER_IS_BETTER
from loopwright.report.facts import said as told
from loopwright.report.parts import SHOWN
from loopwright.report.tables import NONE

# What has a place of its own on the card; whatever else an evaluation has is shown as it is.
_SHOWN = frozenset(
    {"rows", "classes", "champion", "incomparable", "metrics", "intervals", "gains", "slices", "fairness", "gates"}
    | {"passed", "curves", "champion_curves", "confusion", "threshold", "by_class", "run"}
)


def card(found: Answers) -> Document:
    """The card of a version."""
    sections = (
        Section("Model details", details(found)),
        Section("Intended use", use(found)),
        Section("Metrics", metrics(found.evaluation, found.version.number)),
        Section("Slices and groups", [*slices(found.evaluation), *fairness(found.evaluation)]),
        Section("Gates and approvals", [*gates(found.evaluation), *approved(found)]),
        Section("Data", data(found)),
        Section("Limits and risks", limits(found)),
    )
    return Document(f"Model card: {found.loop.name} version {found.version.number}", found.about, sections)


def said(text: str, what: str, key: str) -> Block:
    """A passage of the loop's `card`, or that it is still to be written."""
    return Text(text) if text else Missing(what, key)


def details(found: Answers) -> list[Block]:
    """What the model is, and who answers for it."""
    loop, version, origin = found.made_by, found.version, found.lineage.origin
    rows = [
        ("task", f"{loop.model.task} of {loop.data.label.column}"),
        ("estimator", loop.model.estimator),
        ("parameters", ", ".join(f"{name} {value}" for name, value in loop.model.parameters.items()) or "the defaults"),
        ("features", f"`{loop.model.features}`" if loop.model.features else "the inputs as they are"),
        ("inputs", ", ".join(loop.inputs)),
        ("seed", str(loop.model.seed)),
        ("digest", f"`{version.digest}`"),
        ("registered", f"{version.created:%Y-%m-%d %H:%M} UTC"),
        ("aliases", ", ".join(version.aliases) or "none"),
    ]
    if origin is not None:
        made = origin["environment"]
        rows.append(("made with", f"Python {made['python']} on {made['machine']}, loopwright {made['loopwright']}"))
    if found.lineage.code is not None:
        facts = found.lineage.code.facts
        rows.append(("code", f"`{facts['revision'][:12]}`{' with changes' if facts['dirty'] else ''}"))
    owner = " ".join(filter(None, [found.loop.card.owner, found.loop.card.contact and f"({found.loop.card.contact})"]))
    problem = [Text(f"The bundle is not what was registered: {found.lineage.problem}")] if found.lineage.problem else []
    return [said(owner, "Who answers for the model, and how to reach them.", "owner"), Table(("", ""), rows), *problem]


def use(found: Answers) -> list[Block]:
    """What it is for, for whom, and what not."""
    text = found.loop.card
    return [
        said(text.intended_use, "What the model is for, and which decisions rest on it.", "intended_use"),
        said(text.users, "Who uses the predictions, and who is affected by them.", "users"),
        said(text.out_of_scope, "What it must not be used for.", "out_of_scope"),
    ]


def metrics(evaluation: Mapping[str, Any], version: int) -> list[Block]:
    """The metrics with their intervals, the champion's beside them, and the curves."""
    own, before = evaluation.get("metrics") or {}, evaluation.get("champion") or {}
    if not own:
        return [Text("No metrics were recorded: the model did not predict numbers.")]
    intervals, other = evaluation.get("intervals") or {}, before.get("metrics") or {}
    heads = ["metric", f"#version {version}"] + (["#95 % interval"] if intervals else [])
    heads += [f"#version {before.get('version')}"] if other else []
    rows = []
    for name, value in own.items():
        row = [f"`{name}`{' (less is better)' if name in LOWER_IS_BETTER else ''}", figure(value)]
        row += [interval(intervals.get(name))] if intervals else []
        rows.append(row + ([figure(other.get(name))] if other else []))
    on = f"On {evaluation.get('rows', 0):,} held-out rows, which it was not trained on."
    found: list[Block] = [Text(on), Table(heads, rows), *pictures.judged(version, evaluation)]
    names = [str(one) for one in evaluation.get("classes") or ("negative", "positive")]
    if len(evaluation.get("confusion") or ()) == len(names):
        cells = [
            [f"truly {name}", *(f"{n:,}" for n in row)]
            for name, row in zip(names, evaluation["confusion"], strict=True)
        ]
        head = ("", *(f"#predicted {name}" for name in names))
        at = f" at the threshold {evaluation['threshold']:g}" if evaluation.get("threshold") is not None else ""
        found.append(Table(head, cells, f"Confusion{at}"))
    if each := evaluation.get("by_class"):
        figures = ("precision", "recall", "f1", "roc_auc")
        lines = [[one["class"], f"{one['rows']:,}", *(figure(one.get(name)) for name in figures)] for one in each]
        found.append(Table(("class", "#rows", *(f"#{name}" for name in figures)), lines, "Each class against the rest"))
    return found + others(evaluation)


def slices(evaluation: Mapping[str, Any]) -> list[Block]:
    """The metrics of each slice, with small ones said to be small."""
    found = evaluation.get("slices") or []
    if not found:
        return [Text("No slices were declared.")]
    measured = found[0].get("metrics") or {}
    names = [*(name for name in SHOWN if name in measured)][:4] or [*measured][:4]
    rows = [
        [
            f"{one['column']} = {one['value']}",
            f"{one['rows']:,}{' (small)' if one.get('small') else ''}",
            *(
                " ".join(
                    filter(
                        None,
                        [
                            figure((one.get("metrics") or {}).get(name)),
                            interval((one.get("intervals") or {}).get(name)),
                        ],
                    )
                )
                for name in names
            ),
        ]
        for one in found
    ]
    return [Table(("slice", "#rows", *(f"#{name}" for name in names)), rows, "Metrics by slice, with 95 % intervals")]


def fairness(evaluation: Mapping[str, Any]) -> list[Block]:
    """What was decided about the groups of each protected attribute, and how far they are apart."""
    found = evaluation.get("fairness")
    if not found:
        return [Text("No fairness was measured between groups.")]
    return [block for one in found for block in _between(one)]


RATES = ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy")


def _between(found: Mapping[str, Any]) -> list[Block]:
    """One attribute: a table of its groups, and one of the measures between them."""
    attribute = str(found["attribute"])
    rows = [[str(one["group"]), f"{one['rows']:,}", *(_within(one, name) for name in RATES)] for one in found["groups"]]
    small = found.get("too_small") or {}
    rows += [[f"{name} (too few, not compared)", f"{count:,}", *[NONE] * len(RATES)] for name, count in small.items()]
    heads = (attribute, "#rows", *(f"#{name.replace('_', ' ')}" for name in RATES))
    blocks: list[Block] = [Table(heads, rows, f"Decisions by {attribute}, with 95 % intervals")]
    ends = found.get("intervals") or {}
    measures = [
        [name.replace("_", " "), figure(value), interval(ends.get(name))] for name, value in found["measures"].items()
    ]
    heads = ("between the groups", "#value", "#95 % interval")
    return [*blocks, Table(heads, measures, f"Fairness by {attribute}")] if measures else blocks


def _within(one: Mapping[str, Any], name: str) -> str:
    return f"{figure(one.get(name))} {interval((one.get('intervals') or {}).get(name))}".strip()


def gates(evaluation: Mapping[str, Any]) -> list[Block]:
    """The gates, each with the comparison in words."""
    rows = [
        [
            "passed" if one.get("passed") else "FAILED",
            f"{one.get('gate')} `{one.get('metric')}`",
            str(one.get("detail")),
        ]
        for one in evaluation.get("gates") or ()
    ]
    return [Table(("", "gate", "what was compared"), rows, "Gates")] if rows else [Text("No gates were recorded.")]


def approved(found: Answers) -> Sequence[Block]:
    """What people said of the version."""
    kinds = ("approved", "rejected", "promoted", "demoted", "archived", "rolled_back", "replayed")
    spoken = [one for one in found.lineage.later if one.kind in kinds]
    state = {"automatic": "No person was asked: `gates.approval` was `auto`.", "waiting": "It waits for a person."}
    items = [f"{one.at:%Y-%m-%d %H:%M} UTC, entry {one.number}: {told(one)}" for one in spoken]
    first = state.get(found.decision.state)
    return ([Text(first)] if first else []) + ([Items(items)] if items else [])


def data(found: Answers) -> Sequence[Block]:
    """What it was trained and judged on."""
    taken, kept, parts = (found.lineage.facts(kind) for kind in ("snapshot", "validated", "split"))
    rows = [("snapshot", f"`{found.lineage.snapshot}` ({found.snapshot_state})")]
    if taken:
        rows += [("source", str(taken.get("source"))), ("rows", f"{taken['rows']:,}")]
        rows += [("newest row", str(taken["newest"])[:16].replace("T", " "))] if taken.get("newest") else []
    rows += [("kept the contract", f"{kept['kept']:,} of {kept['rows']:,}")] if kept else []
    rows += [("parts", f"{parts['training']:,} train, {parts['holdout']:,} judge (by {parts['by']})")] if parts else []
    drawn = [pictures.learning(found.lineage.facts("trained")), pictures.importance(found.attributions)]
    return [Table(("", ""), rows), Text("The data sheet says more."), *(one for one in drawn if one is not None)]


def limits(found: Answers) -> list[Block]:
    """What is known to be wrong with it, and what may go wrong."""
    text = found.loop.card
    blocks: list[Block] = [Items(text.limits) if text.limits else Missing("Known limits of the model.", "limits")]
    blocks.append(Items(text.risks) if text.risks else Missing("What may go wrong for whom.", "risks"))
    return [*blocks, said(text.oversight, "How people oversee the model, and can overrule or stop it.", "oversight")]


def others(evaluation: Mapping[str, Any]) -> list[Block]:
    """What an evaluation has beside what this release knows."""
    rest = {name: value for name, value in evaluation.items() if name not in _SHOWN and value not in (None, [], {}, "")}
    return [block for name, value in rest.items() for block in generic(name.replace("_", " ").capitalize(), value)]


def generic(title: str, value: Any) -> list[Block]:
    """Facts of any form, as tables."""
    if isinstance(value, Mapping):
        flat = [(str(name), one) for name, one in value.items() if not isinstance(one, (Mapping, list))]
        deep = [(str(name), one) for name, one in value.items() if isinstance(one, (Mapping, list)) and one]
        table: list[Block] = [Table(("", "#"), [(name, figure(one)) for name, one in flat], title)] if flat else []
        return table + [block for name, one in deep for block in generic(f"{title}: {name.replace('_', ' ')}", one)]
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        heads = list(dict.fromkeys(str(name) for one in value for name in one))
        return [Table(heads, [[figure(one.get(name)) for name in heads] for one in value], title)]
    return [Table(("", "#"), [(title, figure(value))])]


def figure(value: Any) -> str:
    """A value in a cell."""
    if isinstance(value, bool) or value is None:
        return NONE if value is None else "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {figure(one)}" for name, one in value.items())
    return ", ".join(map(figure, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def interval(bounds: Any) -> str:
    """An interval in a cell; nothing where there is none."""
    return f"[{figure(bounds[0])}, {figure(bounds[1])}]" if bounds else ""
