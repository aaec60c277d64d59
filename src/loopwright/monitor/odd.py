"""What of a drifted feature looks like a fault of its source: values missing, never seen, or out of all range.

The world changes the shares of values that were there; a broken export empties a column, a new code list renames its
values, a changed unit moves all of them. An alert says how much of each there is, and the trigger holds a run back for
it (`retrain.suspect`), as a model that is trained on a fault learns it.
"""

from collections.abc import Iterable, Mapping

from loopwright.loop import Loop
from loopwright.monitor.looks import Window, told
from loopwright.statistics.profile import Bins, Counts, Profile


def odd(bins: Bins, counts: Counts) -> dict[str, float]:
    """How much greater each share is than in the reference, 0 to 1, by what is odd about the values."""
    now, then = counts / max(int(counts.sum()), 1), bins.counts / max(int(bins.counts.sum()), 1)
    more = now - then
    found = {"missing": more[0]}
    if bins.kind != "category":
        # A range that moves up empties what was below it.
        found["out_of_range"] = more[1] + more[-1]
    else:
        found["new_values"] = more[1]
    return {what: max(float(share), 0.0) for what, share in found.items()}


def of(profile: Profile, window: Window, names: Iterable[str]) -> dict[str, dict[str, float]]:
    """What is odd about each of the named features in a window; of the prediction nothing is."""
    known = {told(name)[0] for name in names}
    return {name: odd(profile.features[name], window.features[name]) for name in known if name in profile.features}


def suspected(loop: Loop, found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The features of which more is odd than the loop accepts, sorted."""
    limits: dict[str, float] = loop.retrain.suspect.model_dump()
    return sorted(name for name, shares in found.items() if any(share > limits[what] for what, share in shares.items()))
