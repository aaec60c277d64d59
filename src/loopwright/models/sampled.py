"""Contributions of any estimator, sampled: what each feature changes on the way from a reference row to the row.

    the reference row -> one feature after the other becomes the row's, in some order -> what each step added, averaged

For the average over all orders this is the Shapley value with a single reference ("baseline Shapley" of Sundararajan &
Najmi, ICML 2020); sampling orders is Castro, Gomez & Tejada 2009, Computers & Operations Research 36, 1726-1730. Each
order is taken with its reverse (Mitchell, Cooper, Frank & Holmes 2022, JMLR 23(43)), with which the values are exact
where no more than two features act together. The steps of an order add up, so contributions always do. The reference
is made of medians and the most frequent codes, one by one, so that a bundle keeps no row of anybody for it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from loopwright.errors import BundleError
from loopwright.models.bundle import ATTRIBUTIONS, Bundle
from loopwright.models.columns import Array
from loopwright.models.features import FeatureSpec

PAIRS = 8
"""Orders, each with its reverse. Of 20 features a row takes 305 predictions."""
_ROWS_AT_ONCE = 20_000
_SEED = 20
"""The same orders for all rows and in all processes, so that a row's explanation is always the same."""


def reference(matrix: Array, specs: Sequence[FeatureSpec]) -> Array:
    """The row that explanations begin at, (features,): medians of numbers, the most frequent code of categories.

    NaN where a column of the (n, features) matrix has nothing else.
    """
    found = np.full(len(specs), np.nan)
    for at, spec in enumerate(specs):
        known = matrix[:, at][np.isfinite(matrix[:, at])]
        if not len(known):
            continue
        if spec.kind == "category":
            codes, counts = np.unique(known, return_counts=True)
            found[at] = codes[np.argmax(counts)]
        else:
            found[at] = np.median(known)
    return found


def read(bundle: Bundle) -> Array | None:
    """The reference row that a bundle carries, (features,), where its estimator needs one. Raises BundleError."""
    content = bundle.json(ATTRIBUTIONS) if ATTRIBUTIONS in bundle.contents else {}
    try:
        if (kept := content.get("reference")) is None:
            return None
        found = np.array(kept, dtype=np.float64)
        if found.shape != (len(bundle.manifest.features),):
            raise ValueError(f"its shape is {found.shape}")
    except (AttributeError, TypeError, ValueError) as error:
        raise BundleError(
            f"the reference row in {bundle.folder / ATTRIBUTIONS} cannot be used: {error}",
            expected=f"{len(bundle.manifest.features)} numbers, one a feature, or null where there is none",
            do="train it again",
        ) from error
    return found


def contribute(score: Callable[[Array], Array], reference: Array, matrix: Array) -> Array:
    """Contributions of the rows of a matrix, (n, features + 1), the last one the reference's score.

    `score` is of a matrix (n, features), (n,) or, of more than two classes, (n, classes); then (n, classes, features +
    1) comes of it.
    """
    rows, features = matrix.shape
    begin, end = np.atleast_2d(score(reference[None]).T).T, np.atleast_2d(score(matrix).T).T
    outputs = begin.shape[1]
    found = np.zeros((rows, outputs, features + 1))
    found[:, :, -1] = begin[0]
    orders = _orders(features)
    for order in orders:
        before = np.broadcast_to(begin, (rows, outputs))
        for at, after in zip(order, _steps(score, reference, matrix, order, end), strict=True):
            found[:, :, at] += (after - before) / len(orders)
            before = after
    return found[:, 0] if outputs == 1 else found


def _orders(features: int) -> list[Array]:
    random = np.random.default_rng(_SEED)
    pairs = [random.permutation(features) for _ in range(PAIRS)]
    return [order for one in pairs for order in (one, one[::-1])]


def _steps(
    score: Callable[[Array], Array], reference: Array, matrix: Array, order: Array, end: Array
) -> Sequence[Array]:
    """The scores, (n, outputs) each, after each feature of an order has become the row's."""
    rows = len(matrix)
    mixed, found = np.tile(reference, (rows, 1)), []
    waiting: list[Array] = []
    for at in order[:-1]:
        mixed[:, at] = matrix[:, at]
        waiting.append(mixed.copy())
        # Many steps in one call, as a call costs more than a row; but not all where there are many rows.
        if len(waiting) * rows >= _ROWS_AT_ONCE:
            found += _scored(score, waiting)
            waiting = []
    return [*found, *(_scored(score, waiting) if waiting else []), end]


def _scored(score: Callable[[Array], Array], matrices: Sequence[Array]) -> list[Array]:
    scores = np.atleast_2d(score(np.concatenate(matrices)).T).T
    return list(scores.reshape(len(matrices), len(matrices[0]), -1))
