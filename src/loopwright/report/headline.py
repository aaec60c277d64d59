"""The top of the page: who serves and why, in a sentence or two, and the few figures that people ask for first."""

from collections.abc import Mapping

from loopwright.ledger import Entry
from loopwright.report.facts import Facts, said
from loopwright.report.svg import elapsed

_MOST_FEATURES = 3


def sentences(facts: Facts) -> list[str]:
    """What happened, as plain text."""
    promoted = facts.champion
    if promoted is None:
        told = ["No version has gone live yet."]
    else:
        version = promoted.facts.get("version")
        told = [f"Version {version} serves{_why(facts, promoted)}."]
    newest = next((one for one in reversed(facts.entries) if one.kind in ("promoted", "rolled_back")), None)
    if newest is not None and newest.kind == "rolled_back":
        told.append(_taken_back(newest))
    ended = next((one for one in reversed(facts.entries) if one.kind == "run_ended"), None)
    if ended is not None and ended.facts.get("state") != "succeeded":
        sentence = said(ended)
        told.append(f"{sentence[0].upper()}{sentence[1:].rstrip('.')}.")
    return told


def figures(facts: Facts) -> dict[str, str]:
    """A few lengths and counts by name; only those that there are."""
    found: dict[str, str] = {}
    moments = facts.timeline.moments
    alarm = next((one for one in moments if one.entry is not None and one.entry.kind == "alarm"), None)
    if alarm is not None and alarm.cause is not None:
        onset = moments[alarm.cause]
        found[f"{onset.text} → alarm"] = elapsed(alarm.at - onset.at)
    promoted = facts.champion
    root = facts.lineage(promoted)[-1] if promoted is not None else None
    if promoted is not None and root is not None and root.kind == "alarm":
        found["alarm → new champion"] = elapsed((promoted.at - root.at).total_seconds())
    back = next((one for one in reversed(facts.entries) if one.kind == "rolled_back"), None)
    if back is not None and isinstance(back.facts.get("seconds_to_zero"), (int, float)):
        found["verdict → no traffic"] = elapsed(back.facts["seconds_to_zero"])
    return found


def _why(facts: Facts, promoted: Entry) -> str:
    """What the promotion goes back to."""
    root = facts.lineage(promoted)[-1]
    if root.kind == "alarm":
        features = [one for one in root.facts.get("features") or () if isinstance(one, Mapping)]
        # A feature may have drifted from the training data and from recent traffic, which is one name here.
        names = list(dict.fromkeys(str(one.get("name")) for one in features))
        if len(names) > _MOST_FEATURES:
            names[_MOST_FEATURES:] = [f"{len(names) - _MOST_FEATURES} more"]
        listed = " in " + " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
        took = elapsed((promoted.at - root.at).total_seconds())
        what = root.facts.get("source", "drift")
        return f": it was trained because of {what}{listed}, and promoted {took} after the alarm"
    if root.kind == "request":
        by, reason = root.facts.get("by", "a person"), root.facts.get("reason", "no reason was given")
        return f": it was trained because {by} asked for it ({reason})"
    if root.kind == "event":
        return f": it was trained because of this: {root.facts.get('summary', 'no reason was recorded')}"
    return ""


def _taken_back(entry: Entry) -> str:
    version, reason = entry.facts.get("version"), str(entry.facts.get("reason") or "no reason was recorded")
    requests, failed = entry.facts.get("requests"), entry.facts.get("errors")
    cost = f" It had answered {requests:,} requests" if isinstance(requests, int) else ""
    cost += f", {failed:,} of them failed" if cost and isinstance(failed, int) and failed else ""
    return f"Version {version} was taken back: {reason.rstrip('.')}.{cost}{'.' if cost else ''}"
