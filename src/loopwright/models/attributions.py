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
from loopwright.models.explain import Contributions, sizes

FORMAT = 1
MOST_ROWS = 2000
"""TreeSHAP takes 0.6 ms a row of 300 trees of 15 leaves and 1.8 ms of 31, and a mean is known to about 2 % by then."""
LEAST_ROWS = 30
"""Of a model whose rows take long, as 40 ms of 50 trees of 2,700 leaves: a mean is known to about 15 %.

How many rows are taken goes by the model's size and not by a clock, so that a replay makes the same bytes.
"""


@dataclass(frozen=True, eq=False)
class Attributions:
    """The mean and the variance of the sizes of contributions, (features,) each, over `rows` rows."""

    features: tuple[str, ...]
    rows: int
    mean: Array
    variance: Array
    method: str | None = None
    """How contributions were computed; None of a version that was registered before this was said."""
    reference: Array | None = None
    """The row that sampled contributions begin at, (features,); None where none is needed."""

    @classmethod
    def of(
        cls,
        contribute: Contributions,
        features: Sequence[str],
        matrix: Array,
        seed: int,
        reference: Array | None = None,
    ) -> Self | None:
        """Those of the rows of a matrix, or of a random part of them; None for fewer than two rows.

        `reference` is kept where contributions are sampled.
        """
        if len(matrix) < 2:
            return None
        most = contribute.affordable(MOST_ROWS, LEAST_ROWS)
        if len(matrix) > most:
            matrix = matrix[np.random.default_rng(seed).choice(len(matrix), most, replace=False)]
        found = sizes(contribute(matrix))
        kept = reference if contribute.method == "sampled" else None
        return cls(tuple(features), len(matrix), found.mean(axis=0), found.var(axis=0, ddof=1), contribute.method, kept)

    def to_json(self) -> str:
        """attributions.json of a bundle."""
        found: dict[str, Any] = {"rows": self.rows, "mean": self.mean.tolist(), "variance": self.variance.tolist()}
        if self.reference is not None:
            known = np.isfinite(self.reference).tolist()
            found["reference"] = [
                one if is_known else None for one, is_known in zip(self.reference, known, strict=True)
            ]
        head = {"format": FORMAT, "method": self.method, "features": list(self.features)}
        return json.dumps({**head, **found}, allow_nan=False)

    @classmethod
    def read(cls, bundle: Bundle) -> Self:
        """Those that a bundle carries. Raises BundleError where it carries none, or not these."""
        if ATTRIBUTIONS not in bundle.contents:
            raise BundleError(
                f"the version in {bundle.folder} was trained without attributions to hold live ones against",
                expected="attributions.json, which every version has that is registered now",
                do="train it again with this release",
            )
        content = bundle.json(ATTRIBUTIONS)
        try:
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']}")
            mean, variance = (np.asarray(content[name], dtype=np.float64) for name in ("mean", "variance"))
            found = cls(tuple(content["features"]), int(content["rows"]), mean, variance, content.get("method"))
            if any(one.shape != (len(found.features),) or not np.isfinite(one).all() for one in (mean, variance)):
                raise ValueError("its numbers are not one a feature")
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{bundle.folder / ATTRIBUTIONS} cannot be used: {error}", do="train it again") from error
        return found
