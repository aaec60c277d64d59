"""The data sheet of a version's snapshot: where its rows are from, what is in them, and what was left out.

Sections are those of Gebru et al. 2021, "Datasheets for Datasets" (CACM 64/12). No row is shown, and of columns that
are not declared as categories or numbers only how many values there are.
"""

from typing import Any

from loopwright.durations import format_duration
from loopwright.governance.answers import Answers
from loopwright.governance.card import figure, said
from loopwright.governance.document import Block, Document, Items, Section, Table, Text


def sheet(found: Answers) -> Document:
    """The data sheet of the snapshot that a version was made from."""
    sections = (
        Section("Motivation", motivation(found)),
        Section("Composition", composition(found)),
        Section("Collection", collection(found)),
        Section("Preprocessing and labelling", preprocessing(found)),
        Section("Uses", uses(found)),
        Section("Maintenance", maintenance(found)),
    )
    return Document(f"Data sheet: {found.loop.name}, snapshot {found.lineage.snapshot[:12]}", found.about, sections)


def motivation(found: Answers) -> list[Block]:
    """Why there is the data."""
    return [said(found.loop.card.intended_use, "Why the data was collected.", "intended_use")]


def composition(found: Answers) -> list[Block]:
    """What the rows are, column by column."""
    taken, data = found.lineage.facts("snapshot"), found.made_by.data
    rows = [("snapshot", f"`{found.lineage.snapshot}`"), ("on this machine", found.snapshot_state)]
    rows += [(name.replace("_", " "), figure(taken[name])) for name in _told(taken)]
    rows += [("a row is about", data.entity)] if data.entity else []
    later = f", known {format_duration(data.label.delay)} after the observation" if data.label.delay else ""
    rows += [("label", f"{data.label.column}{later}")]
    blocks: list[Block] = [Table(("", ""), rows)]
    if found.columns:
        cells = [
            [f"`{one.name}`", one.kind, f"{one.missing:,}", f"{one.distinct:,}", one.values] for one in found.columns
        ]
        blocks.append(Table(("column", "type", "#missing", "#different", "values"), cells, "Columns"))
    else:
        blocks.append(Text("The snapshot is not at hand, so its columns are not described."))
    return [
        *blocks,
        said(
            found.loop.card.personal_data,
            "Whether rows are about people, and on which ground they are used.",
            "personal_data",
        ),
    ]


def collection(found: Answers) -> list[Block]:
    """Where the rows are from."""
    taken = found.lineage.entries.get("snapshot")
    when = [Text(f"Taken {taken.at:%Y-%m-%d %H:%M} UTC from {figure(taken.facts.get('source'))}.")] if taken else []
    return [*when, said(found.loop.card.collection, "How, when and by whom the data was collected.", "collection")]


def preprocessing(found: Answers) -> list[Block]:
    """What was set aside, and how labels come about."""
    kept, parts = found.lineage.facts("validated"), found.lineage.facts("split")
    blocks: list[Block] = []
    if kept:
        blocks.append(Text(f"{kept['kept']:,} of {kept['rows']:,} rows kept the contract; the others were set aside."))
        if kept.get("violations"):
            rows = [
                [str(one.get(name, "")) for name in ("column", "rule", "expected")] + [f"{one.get('rows', 0):,}"]
                for one in kept["violations"]
            ]
            blocks.append(Table(("column", "rule", "expected", "#rows"), rows, "What was set aside"))
    if parts:
        blocks.append(
            Text(f"{parts['training']:,} rows train and {parts['holdout']:,} judge, parted by {parts['by']}.")
        )
    if found.made_by.model.features:
        blocks.append(
            Text("Features are computed by the code that the model's bundle carries, in training and in serving.")
        )
    return [*blocks, said(found.loop.card.labelling, "How labels come about, and how right they are.", "labelling")]


def uses(found: Answers) -> list[Block]:
    """What was made from it, and what must not be."""
    from loopwright.governance.lineage import made_from

    blocks: list[Block] = []
    if "snapshot" in found.lineage.entries:
        made = made_from(found.loop.name, found.entries, [found.version], found.lineage.snapshot)
        items = [
            f"run {run['run']}: {run['state']}, " + (f"version {run['version']}" if run["version"] else "no version")
            for run in made["runs"]
        ]
        blocks.append(Items(items))
    return [*blocks, said(found.loop.card.out_of_scope, "What the data must not be used for.", "out_of_scope")]


def maintenance(found: Answers) -> list[Block]:
    """Who keeps it, and how a change would be found."""
    text = "The snapshot is immutable and named by its content; `loopwright audit verify` finds a changed byte."
    return [Text(text), said(found.loop.card.owner, "Who keeps the data.", "owner")]


def _told(taken: Any) -> list[str]:
    known = ("rows", "left_out", "newest", "since", "parent", "revision")
    return [name for name in known if taken.get(name) not in (None, "", [], {}, 0)]
