"""Labels that come late, joined with the predictions they belong to.

The newest `capacity` predictions are remembered by a 64-bit hash of their id, about 150 bytes each, in a ring; older
ones are forgotten and their labels are unknown. A label counts once however often it is sent, for every version that
predicted the id: of a mirrored request that is two. Events may be late too: a label whose prediction is not known is
kept for a while, and joined when the event comes. The first label of a prediction stands, as counters do not go back;
another that says otherwise is counted as contradicting. What is joined is handed on, for metrics (`performance`).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.loop import spelling
from loopwright.monitor.slots import Slots
from loopwright.statistics.profile import Profile

CAPACITY = 500_000
EARLY = 50_000
"""Labels that are kept until their prediction's event comes; beyond, the oldest is given up."""
MOST_SLICES = 4
GREATEST_LOSS = 25.0
"""A squared error in units of the label's variance is clipped here, so that one absurd label cannot decide."""


class LabelError(ValueError):
    """A label that the task does not have."""


@dataclass
class Loss:
    """Labelled predictions of a version: how many, and the sums of their losses and of the squares of them."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, loss: float) -> None:
        """Take in the loss of one prediction."""
        self.count += 1
        self.total += loss
        self.squares += loss * loss


@dataclass(frozen=True)
class Joined:
    """What became of a batch of labels."""

    joined: int
    unknown: int
    repeated: int
    contradicting: int = 0
    """Those of the repeated that say something else than the label that came first."""


@dataclass(frozen=True)
class Pairs:
    """Predictions of one version and the labels that were just joined with them, n of each."""

    version: str
    truth: NDArray[np.float64]
    """1 for the positive class and 0 for the other, or the value; of more than two classes the place of the class."""

    predictions: NDArray[np.float64]
    codes: NDArray[np.int16]
    """The bins of each prediction's slices (n, MOST_SLICES), -1 where there is none."""

    delays: NDArray[np.float64]
    """Real seconds from each prediction to its label."""

    at: float
    """The real moment at which they were joined."""


class Labels:
    """The join. A prediction that a version sent twice with the same id is the newer one."""

    def __init__(self, capacity: int = CAPACITY, taken: Callable[[Pairs], None] = lambda pairs: None) -> None:
        """`taken` is given what is joined."""
        self._taken = taken
        self.outcomes = Counter({"joined": 0, "unknown": 0, "repeated": 0, "contradicting": 0})
        self._codes = np.full((capacity, MOST_SLICES), -1, dtype=np.int16)
        self._at, self._truth = np.zeros(capacity, dtype=np.float32), np.zeros(capacity)
        self._origin: float | None = None
        self._slots = Slots(capacity)
        self._predictions = np.zeros(capacity)
        self._labelled = np.zeros(capacity, dtype=np.bool_)
        self._versions: list[str] = []
        self._early: dict[int, tuple[str, Any]] = {}
        self.losses: dict[str, Loss] = {}

    def remember(
        self,
        version: str,
        ids: Sequence[str],
        predictions: NDArray[np.float64],
        profile: Profile,
        codes: NDArray[np.int16] | None = None,
        at: float = 0.0,
    ) -> None:
        """Keep a batch of predictions, those that are numbers, until newer ones need the room.

        `codes` (n, slices) are the bins of their slices, `at` is the real moment at which they came.
        """
        # Moments are kept as seconds since the first, which 32 bits hold to a few seconds for years.
        self._origin = at if self._origin is None else self._origin
        if version not in self.losses:
            self.losses[version] = Loss()
            self._versions.append(version)
        kept = np.flatnonzero(np.isfinite(predictions))[-self._slots.capacity :]
        names = [ids[row] for row in kept.tolist()]
        slots = self._slots.add([hash((version, name)) for name in names])
        self._predictions[slots] = predictions[kept]
        self._labelled[slots] = False
        self._codes[slots], self._at[slots] = -1, at - self._origin
        if codes is not None:
            self._codes[slots, : codes.shape[1]] = codes[kept]
        # Kept until newer ones need the room: another version's prediction of the id may come yet.
        for early in [self._early[name] for name in map(hash, names) if name in self._early] if self._early else ():
            with suppress(LabelError):  # whoever sent it was told, if the profile was known by then
                self.join([early], {version: profile}, at)

    def join(self, labels: Iterable[tuple[str, Any]], profiles: dict[str, Profile], at: float = 0.0) -> Joined:
        """Join (prediction id, label) pairs that came at the real moment `at`.

        Raises LabelError for a label the task does not have, joining none.
        """
        joined = unknown = repeated = contradicting = 0
        found: dict[int, _Found] = {}
        for identifier, label in labels:
            one = self._find(identifier, label, profiles)
            new = {slot: pair for slot, pair in one.items() if not (self._labelled[slot] or slot in found)}
            if one and not new:
                repeated += 1
                contradicting += any(pair.truth != self._said(slot, found) for slot, pair in one.items())
            found |= new
            joined += bool(new)
            if not one:
                unknown += 1
                self._keep(identifier, label)
        self._take(found, at)
        self.outcomes.update(joined=joined, unknown=unknown, repeated=repeated, contradicting=contradicting)
        return Joined(joined, unknown, repeated, contradicting)

    def _find(self, identifier: str, label: Any, profiles: dict[str, Profile]) -> "dict[int, _Found]":
        """The slots of every version's prediction of an id, and what the label says of it."""
        found = {}
        for version in self._versions:
            slot = self._slots.find(hash((version, identifier))) if version in profiles else None
            if slot is not None:
                truth = _truth(profiles[version], identifier, label)
                loss = _loss(profiles[version], truth, float(self._predictions[slot]))
                found[slot] = _Found(version, truth, loss)
        return found

    def _said(self, slot: int, found: "dict[int, _Found]") -> float:
        return found[slot].truth if slot in found else float(self._truth[slot])

    def _take(self, found: "dict[int, _Found]", at: float) -> None:
        """Sum the losses, and hand on what was joined, a version at a time."""
        by_version: dict[str, list[int]] = {}
        for slot, pair in found.items():
            self._labelled[slot], self._truth[slot] = True, pair.truth
            self.losses[pair.version].add(pair.loss)
            by_version.setdefault(pair.version, []).append(slot)
        for version, slots in by_version.items():
            truth = np.array([found[slot].truth for slot in slots])
            delays = np.maximum(at - (self._origin or 0.0) - self._at[slots].astype(np.float64), 0.0)
            self._taken(Pairs(version, truth, self._predictions[slots], self._codes[slots], delays, at))

    def _keep(self, identifier: str, label: Any) -> None:
        if len(self._early) >= EARLY:
            del self._early[next(iter(self._early))]
        self._early[hash(identifier)] = (identifier, label)


@dataclass(frozen=True)
class _Found:
    version: str
    truth: float
    loss: float


def _truth(profile: Profile, identifier: str, label: Any) -> float:
    """1 for the positive class and 0 for the other, or the value; of more than two classes the place of the class."""
    if profile.task == "classification":
        place = _place(profile.classes, identifier, label)
        return float(place if len(profile.classes) > 2 else place == len(profile.classes) - 1)
    return _number(identifier, label)


def _loss(profile: Profile, truth: float, prediction: float) -> float:
    """The Brier score of one prediction, or its squared error in units of the label's variance, clipped.

    Of more than two classes 1 for a wrong decision: the probability of what was decided says nothing of the rest.
    """
    if len(profile.classes) > 2:
        return float(prediction != truth)
    if profile.task == "classification":
        return min(abs(prediction - truth), 1.0) ** 2
    # Without a variance (a constant label in training) the unit is the label's own.
    unit = math.sqrt(profile.label_variance or 1.0)
    # Clipped before it is squared, which would overflow.
    return min(abs(prediction - truth) / unit, math.sqrt(GREATEST_LOSS)) ** 2


def _number(identifier: str, label: Any) -> float:
    try:
        value = math.nan if isinstance(label, (bool, str)) else float(label)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise LabelError(f"the label of {identifier} is {str(label)[:40]!r}; expected a finite number")
    return value


def _place(classes: Sequence[Any], identifier: str, label: Any) -> int:
    """The place of a class, the positive one's being the last; compared as text, as JSON and CSV differ in types."""
    found = spelling.place(classes, label)
    if found < 0:
        names = ", ".join(str(name) for name in classes)
        raise LabelError(f"the label of {identifier} is {label!r}; expected one of {names}")
    return found
