"""What a model's predictions rested on when it was trained: the mean size of each feature's contribution.

Kept with the version, as two numbers a feature and no rows: later windows are held against it. The rows are held-out
ones, as live rows are ones that the model was not fitted to.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from loopwright.errors import BundleError
from loopwright.models.bundle import ATTRIBUTIONS, Bundle
from loopwright.models.columns import Array
from loopwright.models.explain import contributions, sizes

FORMAT = 1
MOST_ROWS = 2000
"""TreeSHAP takes 0.6 ms a row of 300 trees of 15 leaves and 1.8 ms of 31, and a mean is known to about 2 % by then."""


@dataclass(frozen=True, eq=False)
class Attributions:
    """The mean and the variance of the sizes of contributions, (features,) each, over `rows` rows."""

    features: tuple[str, ...]
    rows: int
    mean: Array
    variance: Array

    @classmethod
    def of(cls, estimator: Any, features: Sequence[str], matrix: Array, seed: int, *, threads: int = 1) -> Self | None:
        """Those of the rows of a matrix, or of a random part of them; None for a model that cannot be explained."""
        contribute = contributions(estimator, len(features), threads=threads)
        if contribute is None or len(matrix) < 2:
            return None
        if len(matrix) > MOST_ROWS:
            matrix = matrix[np.random.default_rng(seed).choice(len(matrix), MOST_ROWS, replace=False)]
        found = sizes(contribute(matrix))
        return cls(tuple(features), len(matrix), found.mean(axis=0), found.var(axis=0, ddof=1))

    def to_json(self) -> str:
        """attributions.json of a bundle."""
        numbers = {"rows": self.rows, "mean": self.mean.tolist(), "variance": self.variance.tolist()}
        return json.dumps({"format": FORMAT, "features": list(self.features), **numbers}, allow_nan=False)

    @classmethod
    def read(cls, bundle: Bundle) -> Self:
        """Those that a bundle carries. Raises BundleError where it carries none, or not these."""
        if ATTRIBUTIONS not in bundle.contents:
            raise BundleError(
                f"the version in {bundle.folder} was trained without attributions to hold live ones against",
                expected="a model of lightgbm (without linear_tree), logistic_regression or linear_regression",
                do="train it again with this release",
            )
        content = bundle.json(ATTRIBUTIONS)
        try:
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']}")
            numbers = [np.asarray(content[name], dtype=np.float64) for name in ("mean", "variance")]
            found = cls(tuple(content["features"]), int(content["rows"]), *numbers)
            if any(array.shape != (len(found.features),) or not np.isfinite(array).all() for array in numbers):
                raise ValueError("its numbers are not one a feature")
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{bundle.folder / ATTRIBUTIONS} cannot be used: {error}", do="train it again") from error
        return found
