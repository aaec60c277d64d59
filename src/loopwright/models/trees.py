"""LightGBM's text of a model, read into trees: what a faster engine needs of it, and nothing else.

The text holds every threshold and leaf with 17 digits, so that the numbers are those that LightGBM itself predicts
with. A model with something that is not known here (linear leaves, several classes, another objective) is refused, and
LightGBM goes on predicting it. The rules of a decision are those of `Tree::NumericalDecision` and
`Tree::CategoricalDecision` in `LightGBM/include/LightGBM/tree.h`.
"""

from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from loopwright.models.columns import Array

Link = Literal["identity", "logistic", "exponential"]

# kZeroThreshold of LightGBM's meta.h, a float32: values up to it are zeros.
ZERO = float(np.float32(1e-35))
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_ZERO, _MISSING_NAN = 1, 2
_IDENTITIES = ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "custom", "")
_EXPONENTIALS = ("poisson", "gamma", "tweedie")


class UnknownTreesError(ValueError):
    """A model with something that is read by LightGBM only; its text says what."""


class Tree(NamedTuple):
    """One tree: its inner nodes as lists of one length, its leaves' values, the categories of its splits."""

    feature: list[int]
    threshold: list[float]
    decision: list[int]
    left: list[int]
    right: list[int]
    leaves: Array
    categories: list[frozenset[int]]
    """The codes that go left, by what `threshold` says for a node that splits categories."""

    def categorical(self, node: int) -> bool:
        """Whether the node splits categories."""
        return bool(self.decision[node] & _CATEGORICAL)

    def zero_is_missing(self, node: int) -> bool:
        """Whether the node takes zeros for missing values."""
        return self.decision[node] >> 2 & 3 == _MISSING_ZERO

    def goes_left(self, node: int, values: Array) -> Array:
        """Which of the values, float64 (n,), go to the left child: bool (n,)."""
        if self.categorical(node):
            chosen = self.categories[int(self.threshold[node])]
            return np.array([value in chosen for value in values.tolist()])
        missing = self.decision[node] >> 2 & 3
        left = np.where(np.isnan(values), 0.0, values) <= self.threshold[node]
        if missing == _MISSING_NAN:
            left[np.isnan(values)] = bool(self.decision[node] & _DEFAULT_LEFT)
        elif missing == _MISSING_ZERO:
            left[np.isnan(values) | (np.abs(values) <= ZERO)] = bool(self.decision[node] & _DEFAULT_LEFT)
        return left


class Forest(NamedTuple):
    """All trees, and how their sum becomes the prediction: link(scale * sum)."""

    trees: list[Tree]
    features: int
    link: Link
    scale: float = 1.0


def parse(text: str) -> Forest:
    """Read what `Booster.model_to_string` writes. Raises UnknownTreesError, a ValueError."""
    head, *blocks = text.split("\nTree=")
    lines = head.splitlines()
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    if fields.get("num_tree_per_iteration") != "1" or "average_output" in lines or not blocks:
        raise UnknownTreesError("it has several classes, an average of trees or no tree")
    link, scale = _link(fields.get("objective", ""))
    trees = [_tree(block.split("\n\n", 1)[0]) for block in blocks]
    return Forest(trees, int(fields["max_feature_idx"]) + 1, link, scale)


def _link(objective: str) -> tuple[Link, float]:
    name, *options = objective.split(" ") if objective else [""]
    if name == "binary":
        given = dict(option.split(":", 1) for option in options if ":" in option)
        return "logistic", float(given["sigmoid"])
    if name == "cross_entropy":
        return "logistic", 1.0
    if name in _EXPONENTIALS:
        return "exponential", 1.0
    if name in _IDENTITIES and "sqrt" not in options:
        return "identity", 1.0
    raise UnknownTreesError(f"its objective is {objective}")


def _tree(block: str) -> Tree:
    fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    if fields.get("is_linear", "0") != "0":
        raise UnknownTreesError("its leaves are linear models")
    leaves = np.array(fields["leaf_value"].split(), dtype=np.float64)
    if len(leaves) == 1:
        return Tree([], [], [], [], [], leaves, [])
    left, right = _whole(fields["left_child"]), _whole(fields["right_child"])
    # Nodes are numbered as they were split, so that a child comes after its parent.
    if any(0 <= child <= node for children in (left, right) for node, child in enumerate(children)):
        raise UnknownTreesError("its nodes are in another order")
    bounds, words = _whole(fields.get("cat_boundaries", "0")), _whole(fields.get("cat_threshold", ""))
    categories = [_codes(words[start:end]) for start, end in pairwise(bounds)]
    threshold = [float(one) for one in fields["threshold"].split()]
    return Tree(
        _whole(fields["split_feature"]), threshold, _whole(fields["decision_type"]), left, right, leaves, categories
    )


def _whole(text: str) -> list[int]:
    return [int(one) for one in text.split()]


def _codes(words: list[int]) -> frozenset[int]:
    """The positions of the bits that are set in words of 32 bits."""
    return frozenset(32 * at + bit for at, word in enumerate(words) for bit in range(32) if word >> bit & 1)
