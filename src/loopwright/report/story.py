"""The ledger as a story: one sentence an entry, and the entries that follow from one first cause together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loopwright.ledger import Entry

GOOD, BAD, PLAIN = "good", "bad", "plain"


@dataclass(frozen=True)
class Line:
    """One entry in words."""

    entry: Entry
    text: str
    tone: str


@dataclass(frozen=True)
class Story:
    """All that followed from one first cause, in its order."""

    lines: tuple[Line, ...]

    @property
    def root(self) -> Entry:
        """The first cause."""
        return self.lines[0].entry


def tell(entries: Sequence[Entry]) -> list[Story]:
    """The stories in a ledger's entries, by the time of their first cause."""
    roots: dict[int, int] = {}
    stories: dict[int, list[Line]] = {}
    for entry in entries:
        # An entry whose cause is not among these begins a story of its own, as one does when only the newest are read.
        root = roots.get(entry.cause, entry.number) if entry.cause is not None else entry.number
        roots[entry.number] = root
        stories.setdefault(root, []).append(Line(entry, sentence(entry), tone(entry)))
    return [Story(tuple(lines)) for lines in stories.values()]


def sentence(entry: Entry) -> str:
    """One entry in words; an entry of an unknown kind shows its facts."""
    words = _SENTENCES.get(entry.kind)
    if words is None:
        return f"{entry.kind}: " + ", ".join(f"{name} {value}" for name, value in list(entry.facts.items())[:5])
    return words(entry.facts)


# What a feature of an alarm has drifted from; alarms of earlier releases, and other people's, do not say.
_REFERENCES = {"training": " from the training data", "recent": " from recent traffic"}


def _alarm(facts: Mapping[str, Any]) -> str:
    by_reference: dict[str, list[str]] = {}
    for feature in facts.get("features", []):
        known = feature.get("distance") is not None
        words = f"{feature['name']} ({feature['distance']:.2f})" if known else feature["name"]
        by_reference.setdefault(_REFERENCES.get(feature.get("against"), ""), []).append(words)
    features = "; ".join(", ".join(names) + reference for reference, names in by_reference.items())
    more = f" and {facts['features_more']} more" if facts.get("features_more") else ""
    what = f"{features or facts.get('summary')}{more}"
    return f"{facts.get('source', 'drift')} alarm on version {facts.get('version')}: {what}"


def _decision(facts: Mapping[str, Any]) -> str:
    if facts["action"] == "start":
        by = f" ({facts['by']})" if facts.get("by") else ""
        return f"a run was decided: {facts['reason']}{by}"
    return f"no run: {facts['reason']}"


def _code(facts: Mapping[str, Any]) -> str:
    return f"its code is revision {facts['revision'][:12]}{', with changes' if facts['dirty'] else ''}"


def _snapshot(facts: Mapping[str, Any]) -> str:
    left_out = f", {facts['left_out']:,} too young or too old" if facts.get("left_out") else ""
    since = ""
    if "rows_since" in facts:
        few = f", as only {facts['rows_since']:,} came since the drift began"
        since = f" since {facts['since'][:16].replace('T', ' ')}" if facts["since"] else few
    changes, told = facts.get("changes") or {}, ""
    for word in ("added", "removed"):
        told += f"; columns {word}: {', '.join(changes[word])}" if changes.get(word) else ""
    told += "".join(f"; {name} was {was} and is {now}" for name, (was, now) in changes.get("retyped", {}).items())
    return f"snapshot {facts['id'][:12]} was taken: {facts['rows']:,} rows of {facts['source']}{since}{left_out}{told}"


def _validated(facts: Mapping[str, Any]) -> str:
    aside = f", {facts['set_aside']:,} set aside" if facts.get("set_aside") else ""
    warned = [f"{one['column']}: {one['rule']}" for one in facts.get("violations") or () if one.get("policy") == "warn"]
    told = f"; warned of {', '.join(warned)}" if warned else ""
    return f"the data kept its contract: {facts['kept']:,} of {facts['rows']:,} rows{aside}{told}"


def _split(facts: Mapping[str, Any]) -> str:
    signs = "; ".join(f"{leak['column']} may leak: {leak['found']}" for leak in facts.get("leaks") or ())
    split = f"{facts['training']:,} rows train and {facts['holdout']:,} judge (by {facts['by']})"
    return f"{split}; {signs}" if signs else split


def _judged(facts: Mapping[str, Any]) -> str:
    metrics = facts["metrics"]
    if not metrics:
        return f"the model did not pass its gates: its predictions are {facts['gates'][0]['detail']}"
    name = next(one for one in ("roc_auc", "roc_auc_ovr", "rmse", *metrics) if one in metrics)
    champion = facts.get("champion") or {}
    before = (champion.get("metrics") or {}).get(name)
    beside = "" if before is None else f" (champion {champion['version']}: {before:.3f})"
    outcome = "passed its gates" if facts["passed"] else "did not pass its gates"
    return f"the model {outcome}: {name} {metrics[name]:.3f}{beside} on {facts.get('rows', 0):,} held-out rows"


def _run_ended(facts: Mapping[str, Any]) -> str:
    if facts["state"] == "succeeded":
        version = facts.get("version")
        came = f"version {version} came of it" if version else "no version came of it"
        return f"the run succeeded in {facts['seconds']:.0f} s; {came}"
    if facts["state"] == "rejected":
        return f"the run ended in {facts['seconds']:.0f} s without a version: a gate was not passed"
    return f"the run {facts['state']}: {facts.get('error') or 'no reason was recorded'}"


def _verdict(facts: Mapping[str, Any]) -> str:
    words = {"promote": "go on", "roll_back": "roll back", "wait": "wait", "cannot_tell": "cannot tell"}
    reason = f": {facts['reason']}" if facts.get("reason") else ""
    verdict = words.get(facts["verdict"], facts["verdict"])
    return f"verdict on version {facts['version']} at {facts['weight']} %: {verdict}{reason}"


def _shifted(facts: Mapping[str, Any]) -> str:
    if not facts["weight"]:
        return f"version {facts['version']} gets a copy of the traffic"
    how = f", {facts['how']}" if facts.get("how") else ""
    return f"version {facts['version']} takes {facts['weight']} % of the traffic{how}"


def _scored(facts: Mapping[str, Any]) -> str:
    aside = f", {facts['set_aside']:,} set aside" if facts.get("set_aside") else ""
    features = ", ".join(f"{one['name']} ({one['distance']:.2f})" for one in facts.get("drifted") or ())
    drift = f"; far from the training data: {features}" if features else ""
    told = f"{facts['scored']:,} rows of {facts['input']} into {facts['output']}"
    return f"version {facts['version']} scored {told}{aside}{drift}"


def _why(facts: Mapping[str, Any]) -> str:
    return f": {facts['why']}" if facts.get("why") else ""


def _promoted(facts: Mapping[str, Any]) -> str:
    before = f" in place of version {facts['previous']}" if facts.get("previous") else ""
    why = f" ({facts['reason']})" if facts.get("by") else ""
    return f"version {facts['version']} became champion{before}{why}"


def _rolled_back(facts: Mapping[str, Any]) -> str:
    cost = f"; it answered {facts['requests']:,} requests" if facts.get("requests") is not None else ""
    return f"version {facts['version']} was taken back after {facts['seconds']:.1f} s: {facts['reason']}{cost}"


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "alarm": _alarm,
    "event": lambda facts: f"{facts['source'].replace('_', ' ')}: {facts['summary']}",
    "scheduled": lambda facts: f"the schedule {facts['schedule']} ({facts['timezone']}) was taken up",
    "reported": lambda facts: f"the window's rows were reported on beside the reference: {facts['report']}",
    "resolved": lambda facts: "the alarm is over",
    "decision": _decision,
    "request": lambda facts: f"{facts['by']} asked for a run: {facts['reason']}",
    "run": lambda facts: f"run {facts['run']} began on the {facts['engine']} engine",
    "code": _code,
    "snapshot": _snapshot,
    "validated": _validated,
    "split": _split,
    "trained": lambda facts: f"a {facts['estimator']} model was trained in {facts['seconds']:.1f} s",
    "judged": _judged,
    "registered": lambda facts: f"version {facts['version']} was registered ({facts['digest'][:12]})",
    "approved": lambda facts: f"version {facts['version']} was approved by {facts['by']}: {facts['reason']}",
    "rejected": lambda facts: f"version {facts['version']} was rejected by {facts['by']}: {facts['reason']}",
    "demoted": lambda facts: f"version {facts['version']} lost {facts['alias']} by {facts['by']}: {facts['reason']}",
    "archived": lambda facts: f"version {facts['version']} was archived by {facts['by']}: {facts['reason']}",
    "replayed": lambda facts: f"version {facts['version']} was trained again by {facts['by']}: {facts['outcome']}",
    "scored": _scored,
    "step_failed": lambda facts: f"the step {facts['step']} failed: {facts['error']}",
    "run_ended": _run_ended,
    "rollout": lambda facts: f"rollout of version {facts['version']} began ({facts['strategy']})",
    "shifted": _shifted,
    "verdict": _verdict,
    "paused": lambda facts: f"the rollout of version {facts['version']} was paused by {facts['who']}{_why(facts)}",
    "resumed": lambda facts: f"the rollout of version {facts['version']} was resumed by {facts['who']}{_why(facts)}",
    "intervened": lambda facts: f"the rollout of version {facts['version']} waits for a person{_why(facts)}",
    "promoted": _promoted,
    "rolled_back": _rolled_back,
    "rollout_failed": lambda facts: f"the rollout of version {facts['version']} could not go on: {facts['reason']}",
    "started": lambda facts: "the loop was started",
    "stopped": lambda facts: "the loop was stopped",
}


def tone(entry: Entry) -> str:
    if entry.kind in ("registered", "promoted", "approved"):
        return GOOD
    failed = entry.kind == "run_ended" and entry.facts["state"] not in ("succeeded", "rejected")
    judged_bad = entry.kind == "judged" and not entry.facts["passed"]
    judged_worse = entry.kind == "verdict" and entry.facts["verdict"] == "roll_back"
    bad = entry.kind in ("alarm", "rejected", "rolled_back", "rollout_failed")
    return BAD if bad or failed or judged_bad or judged_worse else PLAIN
