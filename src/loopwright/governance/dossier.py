"""The dossier of a version: one archive with all that was recorded, in the order of the EU AI Act's Annex IV.

The headings are those of Annex IV of Regulation (EU) 2024/1689, "Technical documentation referred to in Article 11(1)",
shortened. What the loop knows stands below its heading; what only people can say is named there, and listed first. The
archive is no statement of conformity, and whether a system is one of high risk is not for a program to decide.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

from loopwright import environment
from loopwright.durations import format_duration
from loopwright.governance import card as cards
from loopwright.governance import sheet
from loopwright.governance.answers import Answers
from loopwright.governance.card import said
from loopwright.governance.document import Block, Document, Items, Missing, Section, Table, Text
from loopwright.report.facts import said as told

CHANGES = frozenset({"registered", "promoted", "rolled_back", "demoted", "archived", "rejected"})


def dossier(found: Answers) -> Document:
    """The main document; other files of the archive are named in it."""
    return Document(
        f"Technical documentation: {found.loop.name} version {found.version.number}",
        f"{found.about} In the order of Annex IV of Regulation (EU) 2024/1689.",
        _first(found, _sections(found)),
    )


def _first(found: Answers, sections: Sequence[Section]) -> list[Section]:
    open_points = [f"{title}: {one.what}" for title, one in Document("", "", sections).missing]
    state = (
        f"{len(open_points)} passages are still to be written by a person." if open_points else "Nothing is missing."
    )
    listed: list[Block] = [Items(open_points)] if open_points else []
    note = Text(
        "What was recorded is here as it was recorded; `verify_ledger.py` checks the extract of the ledger with Python "
        "alone, and `SHA256SUMS` the files. Whether the system is one of high risk, and whether this documentation "
        "suffices, is for people to judge."
    )
    return [Section("What is still to be written", [Text(state), *listed, note]), *sections]


def _sections(found: Answers) -> list[Section]:
    return [
        Section("1. General description of the system", _general(found)),
        Section("2. Elements of the system and the process of its development", _development(found)),
        Section(
            "2 (d). Data requirements", [Text("The whole data sheet: `data-sheet.html`."), *sheet.composition(found)]
        ),
        Section("2 (g). Validation and testing", _testing(found)),
        Section("2 (h). Cybersecurity measures", _security(found)),
        Section("3. Monitoring, functioning and control", _control(found)),
        Section("4. Appropriateness of the performance metrics", _appropriate(found)),
        Section("5. Risk management system (Article 9)", _risks(found)),
        Section("6. Changes made through the lifecycle", _changes(found)),
        Section("7. Harmonised standards applied", [Missing("The standards that were applied, in full or in part.")]),
        Section("8. EU declaration of conformity", [Missing("A copy of the declaration (Article 47).")]),
        Section("9. Evaluation after placing on the market (Article 72)", _afterwards(found)),
    ]


def _general(found: Answers) -> list[Block]:
    rest = ("The forms in which it is placed on the market.", "Instructions for use for the deployer.")
    return [
        *cards.use(found),
        *cards.details(found),
        Text(
            "Predictions are given over HTTP and gRPC by the Open Inference Protocol (V2) and KServe's V1; every "
            "answer names the version. The packages and their versions are in `environment/requirements.txt`."
        ),
        *(Missing(one) for one in rest),
    ]


def _development(found: Answers) -> list[Block]:
    causes = [f"{one.at:%Y-%m-%d %H:%M:%S} UTC, entry {one.number}: {told(one)}" for one in found.lineage.causes]
    code = "The declaration is `declaration.json`; the feature code, where there is any, is `features.py`."
    return [
        Text("How this version came about, by the ledger; each step was caused by the one before."),
        Items(causes) if causes else Text("The ledger does not have the registration of this version."),
        Text(code),
        Missing("Why this design was chosen, with its assumptions and its trade-offs (2 b)."),
        said(found.loop.card.oversight, "The human oversight measures, and their assessment (2 e).", "oversight"),
    ]


def _testing(found: Answers) -> list[Block]:
    version = found.version.number
    return [
        *cards.metrics(found.evaluation, version),
        *cards.slices(found.evaluation),
        *cards.fairness(found.evaluation),
        *cards.gates(found.evaluation),
        *cards.approved(found),
        Missing("Test reports dated and signed by the responsible persons."),
    ]


def _security(found: Answers) -> list[Block]:
    return [
        Text(
            "What serving loads has no pickle; its digest is verified before anything in it is used. The ledger is a "
            "hash chain; snapshots are named by their content. `loopwright audit verify` finds a changed byte of each."
        ),
        Missing("The measures of the platform that it runs on, and against poisoned or adversarial data."),
    ]


def _control(found: Answers) -> list[Block]:
    monitor, rollout = found.loop.monitor, found.loop.rollout
    rows = [
        ("compared window", format_duration(monitor.window)),
        ("false alarms accepted", str(monitor.false_alarms)),
        ("least effect (Jensen-Shannon distance)", f"{monitor.min_effect:g}"),
        ("rollout", f"{rollout.strategy.replace('_', '/')}"),
        ("retraining on", ", ".join(found.loop.retrain.on)),
    ]
    contract = [
        (f"`{name}`", column.kind, _range(column.model_dump(mode="json")))
        for name, column in found.made_by.inputs.items()
    ]
    return [
        Table(("declared", ""), rows, "Monitoring and control"),
        Table(("input", "type", "accepted"), contract, "Specifications of the input data"),
        *cards.limits(found),
        Missing("Degrees of accuracy for the persons or groups that it is to be used on, where slices do not say."),
    ]


def _range(column: Mapping[str, object]) -> str:
    if column.get("values"):
        return ", ".join(map(str, column["values"]))  # type: ignore[call-overload]
    low, high = column.get("min"), column.get("max")
    bounds = [f"at least {low:g}"] if isinstance(low, float) else []
    bounds += [f"at most {high:g}"] if isinstance(high, float) else []
    missing = column.get("missing")
    bounds += [f"{missing:.1%} may be missing"] if isinstance(missing, float) and missing else []
    return ", ".join(bounds)


def _appropriate(found: Answers) -> list[Block]:
    gates = found.made_by.gates
    named = list(dict.fromkeys((*gates.minimum, *gates.maximum, *gates.champion)))
    judged = [Text(f"The gates judge by {', '.join(f'`{name}`' for name in named)}.")] if named else []
    return [*judged, Missing("Why these metrics fit what the system is for.")]


def _risks(found: Answers) -> list[Block]:
    risks = found.loop.card.risks
    return [
        Items(risks) if risks else Missing("What may go wrong for whom.", "risks"),
        Missing("The risk management system (Article 9): how risks are found, judged and treated."),
    ]


def _changes(found: Answers) -> list[Block]:
    changes = [one for one in found.entries if one.kind in CHANGES]
    rows = [(f"{one.at:%Y-%m-%d %H:%M}", str(one.number), told(one)) for one in changes]
    return [Table(("UTC", "#entry", "what"), rows, "Versions of the loop")] if rows else [Text("None were recorded.")]


def _afterwards(found: Answers) -> list[Block]:
    delay = format_duration(found.made_by.data.label.delay)
    text = (
        f"Predictions are counted by a drift monitor beside every replica; labels come {delay} after the observation "
        "and are joined with predictions by their id. Alarms, and what came of them, are in the ledger."
    )
    return [Text(text), Missing("The plan for monitoring after placing on the market (Article 72(3)).")]


def files(found: Answers) -> dict[str, str]:
    """Files of the archive beside the pages and the extract of the ledger: what the version was made with."""
    made: dict[str, str] = {"lineage.json": json.dumps(found.lineage.to_dict(), indent=2, default=str) + "\n"}
    if found.evaluation:
        made["evaluation.json"] = json.dumps(dict(found.evaluation), indent=2, default=str) + "\n"
    origin, code = found.lineage.origin, found.lineage.code
    if origin is not None:
        made["declaration.json"] = json.dumps(origin["loop"], indent=2) + "\n"
        made["environment/requirements.txt"] = environment.lock(origin["environment"])
        rest = {name: value for name, value in origin["environment"].items() if name != "packages"}
        made["environment/environment.json"] = json.dumps(rest, indent=2) + "\n"
    if found.lineage.features:
        made["features.py"] = found.lineage.features.decode()
    if code is not None and code.facts.get("patch"):
        made["code.patch"] = str(code.facts["patch"])
    return made


def sums(contents: Mapping[str, str]) -> str:
    """The archive's SHA256SUMS, as `sha256sum --check` reads it."""
    return "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in sorted(contents.items()))
