"""Labels that come late, joined with the predictions they belong to.

The newest `capacity` predictions are remembered by a 64-bit hash of their id, about 150 bytes each, in a ring; older
ones are forgotten and their labels are unknown. A label counts once however often it is sent, for every version that
predicted the id: of a mirrored request that is two. Events may be late too: a label whose prediction is not known is
kept for a while, and joined when the event comes.
"""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics.profile import Profile

CAPACITY = 500_000
EARLY = 50_000
"""Labels that are kept until their prediction's event comes; beyond, the oldest is given up."""
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


class Labels:
    """The join. A prediction that a version sent twice with the same id is the newer one."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._slots: dict[int, int] = {}
        self._keys = np.zeros(capacity, dtype=np.int64)
        self._predictions = np.zeros(capacity)
        self._numbers = np.zeros(capacity, dtype=np.int32)
        self._labelled = np.zeros(capacity, dtype=np.bool_)
        self._versions: list[str] = []
        self._next = 0
        self._early: dict[int, tuple[str, Any]] = {}
        self.losses: dict[str, Loss] = {}

    def remember(self, version: str, ids: Sequence[str], predictions: NDArray[np.float64], profile: Profile) -> None:
        """Keep a batch of predictions, those that are numbers, until newer ones need the room."""
        if version not in self.losses:
            self.losses[version] = Loss()
            self._versions.append(version)
        capacity = len(self._keys)
        kept = np.flatnonzero(np.isfinite(predictions))[-capacity:]
        names = [ids[row] for row in kept.tolist()]
        keys = [hash((version, name)) for name in names]
        slots = (self._next + np.arange(len(kept))) % capacity
        for old, slot in zip(self._keys[slots].tolist(), slots.tolist(), strict=True):
            if self._slots.get(old) == slot:
                del self._slots[old]
        self._slots.update(zip(keys, slots.tolist(), strict=True))
        self._keys[slots], self._predictions[slots] = keys, predictions[kept]
        self._numbers[slots], self._labelled[slots] = self._versions.index(version), False
        self._next = (self._next + len(kept)) % capacity
        # Kept until newer ones need the room: another version's prediction of the id may come yet.
        for early in [self._early[name] for name in map(hash, names) if name in self._early] if self._early else ():
            with suppress(LabelError):  # whoever sent it was told, if the profile was known by then
                self.join([early], {version: profile})

    def join(self, labels: Iterable[tuple[str, Any]], profiles: dict[str, Profile]) -> Joined:
        """Join (prediction id, label) pairs. Raises LabelError for a label the task does not have, joining none."""
        joined = unknown = repeated = 0
        found: dict[int, tuple[str, float]] = {}
        for identifier, label in labels:
            slots = [
                (version, slot)
                for version in self._versions
                if version in profiles and (slot := self._slots.get(hash((version, identifier)))) is not None
            ]
            losses = [
                (slot, version, _loss(profiles[version], identifier, label, float(self._predictions[slot])))
                for version, slot in slots
            ]
            new = {slot: (name, loss) for slot, name, loss in losses if not (self._labelled[slot] or slot in found)}
            found |= new
            joined += bool(new)
            repeated += bool(slots) and not new
            if not slots:
                unknown += 1
                self._keep(identifier, label)
        for slot, (version, value) in found.items():
            self._labelled[slot] = True
            self.losses[version].add(value)
        return Joined(joined, unknown, repeated)

    def _keep(self, identifier: str, label: Any) -> None:
        if len(self._early) >= EARLY:
            del self._early[next(iter(self._early))]
        self._early[hash(identifier)] = (identifier, label)


def _loss(profile: Profile, identifier: str, label: Any, prediction: float) -> float:
    """The Brier score of one prediction, or its squared error in units of the label's variance, clipped."""
    if profile.task == "classification":
        return min(abs(prediction - _positive(profile.classes, identifier, label)), 1.0) ** 2
    # Without a variance (a constant label in training) the unit is the label's own.
    unit = math.sqrt(profile.label_variance or 1.0)
    # Clipped before it is squared, which would overflow.
    return min(abs(prediction - _number(identifier, label)) / unit, math.sqrt(GREATEST_LOSS)) ** 2


def _number(identifier: str, label: Any) -> float:
    try:
        value = math.nan if isinstance(label, (bool, str)) else float(label)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise LabelError(f"the label of {identifier} is {str(label)[:40]!r}; expected a finite number")
    return value


def _positive(classes: Sequence[Any], identifier: str, label: Any) -> float:
    """1 for the positive class (the last), 0 for the other; compared as text, as JSON and CSV differ in types."""
    for number, name in enumerate(classes):
        if _text(name) == _text(label):
            return float(number == len(classes) - 1)
    names = ", ".join(str(name) for name in classes)
    raise LabelError(f"the label of {identifier} is {label!r}; expected one of {names}")


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    return text.lower() if text in ("True", "False") else text
