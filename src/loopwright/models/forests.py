"""scikit-learn's trees in LightGBM's text, so that LightGBM's exact TreeSHAP explains them.

    a fitted forest, boosting or tree -> its nodes, a list of trees a class -> LightGBM's text -> contributions

scikit-learn has no TreeSHAP, and the package shap brings numba and LLVM with it. LightGBM, which is here anyway, has
the algorithm in C++ (Lundberg et al. 2020; `Tree::TreeSHAP` in `LightGBM/src/io/tree.cpp`), and a tree is a tree: rows
at or below a threshold go left in both, and what a node weighs is its number of rows. Forests are averages, so the raw
score is their own output: a probability, or the value. Boosting adds up to the log-odds, or the value.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from loopwright.models.columns import Array

_SPLIT_OF_NUMBERS, _LEFT_IF_MISSING, _NAN_IS_MISSING = 0, 2, 8
"""Of a node's `decision_type`, as LightGBM's `include/LightGBM/tree.h` has it."""
_MOST_ROWS = 1 << 30
"""LightGBM keeps a node's rows in 32 bits; weights that are no whole numbers are scaled up to about this many."""


class Nodes(NamedTuple):
    """One tree: arrays of one length, a node each; the root is the first. `left` is -1 of a leaf."""

    left: Array
    right: Array
    feature: Array
    threshold: Array
    missing_left: Array
    value: Array
    """What a leaf adds to the raw score."""
    weight: Array
    """The rows that came to the node in training."""


class Forest(NamedTuple):
    """The trees of each raw score, and what it begins with."""

    trees: Sequence[Sequence[Nodes]]
    """(iterations, scores): a tree for each score in turn."""
    begin: Array
    """(scores,)"""
    single: bool
    """Whether the trees see float32, as all of scikit-learn's do but those on histograms."""

    @property
    def slowness(self) -> float:
        """As `Contributions` has it: TreeSHAP visits each leaf with work that grows with the square of its depth.

        The depth is taken for that of a tree that is half as deep again as a balanced one.
        """
        leaves = [int((one.left < 0).sum()) for step in self.trees for one in step]
        work = sum(count * (1.5 * math.log2(max(count, 2))) ** 2 for count in leaves)
        return work / (300 * 15 * (1.5 * math.log2(15)) ** 2)


def read(estimator: Any) -> Forest | None:
    """The trees of a fitted scikit-learn estimator; None for what is none, or has something that is not known here."""
    from sklearn import ensemble, tree

    kind = type(estimator)
    if kind in (tree.DecisionTreeClassifier, tree.ExtraTreeClassifier):
        return _averaged([estimator], classes=True)
    if kind in (tree.DecisionTreeRegressor, tree.ExtraTreeRegressor):
        return _averaged([estimator], classes=False)
    if kind in (ensemble.RandomForestClassifier, ensemble.ExtraTreesClassifier):
        return _averaged(estimator.estimators_, classes=True)
    if kind in (ensemble.RandomForestRegressor, ensemble.ExtraTreesRegressor):
        return _averaged(estimator.estimators_, classes=False)
    if kind in (ensemble.GradientBoostingClassifier, ensemble.GradientBoostingRegressor):
        return _boosted(estimator)
    if kind in (ensemble.HistGradientBoostingClassifier, ensemble.HistGradientBoostingRegressor):
        return _on_histograms(estimator)
    return None


def _averaged(trees: Sequence[Any], *, classes: bool) -> Forest | None:
    """Of two classes the probability of the second, of more that of each; or the mean value."""
    if trees[0].n_outputs_ != 1:
        return None
    found = []
    for one in trees:
        values = one.tree_.value[:, 0, :]
        if classes:
            values = values / values.sum(axis=1, keepdims=True)
            values = values[:, 1:] if values.shape[1] == 2 else values
        found.append([_nodes(one.tree_, column / len(trees)) for column in values.T])
    return Forest(found, np.zeros(len(found[0])), single=True)


def _boosted(estimator: Any) -> Forest | None:
    rate = estimator.learning_rate
    found = [[_nodes(one.tree_, one.tree_.value[:, 0, 0] * rate) for one in step] for step in estimator.estimators_]
    # What it begins with is the same for all rows, but where it is an estimator of the user's own.
    if estimator.init is not None and estimator.init != "zero":
        return None
    begin = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), dtype=np.float32))
    return Forest(found, np.asarray(begin, dtype=np.float64).reshape(-1), single=True)


def _on_histograms(estimator: Any) -> Forest | None:
    # With categories the trees' columns are in another order, even where none of them splits on one.
    if estimator.is_categorical_ is not None:
        return None
    found = [[_histogram(one.nodes) for one in step] for step in estimator._predictors]
    return Forest(found, np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(-1), single=False)


def _histogram(nodes: Any) -> Nodes:
    leaf = nodes["is_leaf"].astype(bool)
    left, right = (np.where(leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
    missing = nodes["missing_go_to_left"].astype(bool)
    count = nodes["count"].astype(np.float64)
    return Nodes(left, right, nodes["feature_idx"], nodes["num_threshold"], missing, nodes["value"], count)


def _nodes(tree: Any, value: Array) -> Nodes:
    missing = np.asarray(tree.missing_go_to_left, dtype=bool)
    columns = (tree.children_left, tree.children_right, tree.feature, tree.threshold)
    return Nodes(*columns, missing, value, tree.weighted_n_node_samples)


def text(forest: Forest, features: int) -> str:
    """The forest as LightGBM's text, of `features` prepared columns; `begin` is not in it."""
    scores = len(forest.begin)
    head = [
        *("tree", "version=v4", f"num_class={scores}", f"num_tree_per_iteration={scores}", "label_index=0"),
        *(f"max_feature_idx={features - 1}", "objective=custom"),
        "feature_names=" + " ".join(f"x{at}" for at in range(features)),
        "feature_infos=" + " ".join(["[-1e308:1e308]"] * features),
    ]
    blocks = [_block(number, one) for number, one in enumerate(one for step in forest.trees for one in step)]
    return "\n".join([*head, "", *blocks, "end of trees", ""])


def _block(number: int, nodes: Nodes) -> str:
    """A tree, its inner nodes numbered in the order of a walk from the root, and its leaves apart from them."""
    leaf = nodes.left < 0
    leaves, inner = np.flatnonzero(leaf), np.flatnonzero(~leaf)
    # A child is named by its number, a leaf by the complement of its own.
    names = np.empty(len(leaf), dtype=np.int64)
    names[inner], names[leaves] = np.arange(len(inner)), ~np.arange(len(leaves))
    rows = np.asarray(nodes.weight, dtype=np.float64)
    if (rows != np.round(rows)).any() or rows.max() >= _MOST_ROWS:
        rows = rows * (_MOST_ROWS / rows.max())
    counts = np.maximum(np.round(rows), 1).astype(np.int64)
    decisions = _SPLIT_OF_NUMBERS | _NAN_IS_MISSING | np.where(nodes.missing_left[inner], _LEFT_IF_MISSING, 0)
    lines: dict[str, Any] = {"num_leaves": [len(leaves)], "num_cat": [0]}
    if len(inner):
        lines |= {
            "split_feature": nodes.feature[inner],
            "split_gain": np.zeros(len(inner), dtype=np.int64),
            "threshold": np.clip(nodes.threshold[inner], -1e300, 1e300),
            "decision_type": decisions,
            "left_child": names[nodes.left[inner]],
            "right_child": names[nodes.right[inner]],
        }
    lines["leaf_value"] = nodes.value[leaves]
    if len(inner):
        lines |= {
            "leaf_weight": counts[leaves],
            "leaf_count": counts[leaves],
            "internal_value": np.zeros(len(inner), dtype=np.int64),
            "internal_weight": counts[inner],
            "internal_count": counts[inner],
        }
    lines |= {"is_linear": [0], "shrinkage": [1]}
    written = "\n".join(f"{name}={' '.join(map(repr, np.asarray(each).tolist()))}" for name, each in lines.items())
    return f"Tree={number}\n{written}\n\n"
