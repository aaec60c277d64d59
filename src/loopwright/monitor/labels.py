"""Labels that come late, joined with the predictions they belong to.

The newest `capacity` predictions are remembered by a 64-bit hash of their id, about 150 bytes each, in a ring; older
ones are forgotten and their labels are unknown. A label counts once however often it is sent.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics.profile import Profile

CAPACITY = 500_000
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
    """The join. A prediction sent twice with the same id is the newer one."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._slots: dict[int, int] = {}
        self._keys = np.zeros(capacity, dtype=np.int64)
        self._predictions = np.zeros(capacity)
        self._numbers = np.zeros(capacity, dtype=np.int32)
        self._labelled = np.zeros(capacity, dtype=np.bool_)
        self._versions: list[str] = []
        self._next = 0
        self._full = False
        self.losses: dict[str, Loss] = {}

    def remember(self, version: str, ids: Sequence[str], predictions: NDArray[np.float64]) -> None:
        """Keep a batch of predictions until their labels come, or newer predictions need the room."""
        if version not in self.losses:
            self.losses[version] = Loss()
            self._versions.append(version)
        number, capacity = self._versions.index(version), len(self._keys)
        for identifier, prediction in zip(ids, predictions.tolist(), strict=True):
            slot, key = self._next, hash(identifier)
            if self._full and self._slots.get(old := int(self._keys[slot])) == slot:
                del self._slots[old]
            self._slots[key] = slot
            self._keys[slot], self._predictions[slot], self._numbers[slot] = key, prediction, number
            self._labelled[slot] = False
            self._next = (slot + 1) % capacity
            self._full = self._full or self._next == 0

    def join(self, labels: Iterable[tuple[str, Any]], profiles: dict[str, Profile]) -> Joined:
        """Join (prediction id, label) pairs. Raises LabelError for a label the task does not have, joining none."""
        unknown = repeated = 0
        found: dict[int, tuple[str, float]] = {}
        for identifier, label in labels:
            slot = self._slots.get(hash(identifier))
            version = None if slot is None else self._versions[self._numbers[slot]]
            if slot is None or version not in profiles:
                unknown += 1
                continue
            value = _loss(profiles[version], identifier, label, float(self._predictions[slot]))
            if self._labelled[slot] or slot in found:
                repeated += 1
            else:
                found[slot] = (version, value)
        for slot, (version, value) in found.items():
            self._labelled[slot] = True
            self.losses[version].add(value)
        return Joined(len(found), unknown, repeated)


def _loss(profile: Profile, identifier: str, label: Any, prediction: float) -> float:
    """The Brier score of one prediction, or its squared error in units of the label's variance, clipped."""
    if profile.task == "classification":
        return (prediction - _positive(profile.classes, identifier, label)) ** 2
    if isinstance(label, bool) or not isinstance(label, (int, float)) or not math.isfinite(label):
        raise LabelError(f"the label of {identifier} is {label!r}; expected a finite number")
    # Without a variance (a constant label in training) the unit is the label's own.
    return min((prediction - label) ** 2 / (profile.label_variance or 1.0), GREATEST_LOSS)


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
    return str(value).lower() if isinstance(value, bool) else str(value)
