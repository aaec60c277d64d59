"""How wrong a regression is expected to be of a row: models of its error that see the features.

An error often depends on what the row is, and not only on what is predicted for it: a price is known well for some
goods and badly for others. These models learn that from the held-out rows, and say before labels come what the error
of live rows should be (the idea of direct loss estimation, as NannyML's DLE has it).

One model is for the size of the error and one for its square. Both learn the logarithm of a mean by the gamma deviance:
squares of normal errors of any spread are gamma distributed, and the mean of squares, which a squared loss would learn
from the few largest ones, is what is wanted.
"""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from loopwright.errors import BundleError
from loopwright.models.bundle import LOSSES, Bundle
from loopwright.models.columns import Array

FORMAT = 1
FOLDS = 5
LEAST_ROWS, MOST_ROWS = 500, 50_000
MOST_ROUNDS, PATIENCE = 300, 20
POWERS = {"mae": 1, "rmse": 2}
_LEAST = 1e-6  # of the mean loss: the gamma deviance has no value at 0
# Small trees: how errors scatter is a smooth thing. On two of the five seeds of bench/estimates trees of 4 leaves were
# 0.098 off where errors had grown, of 15 leaves 0.109, and as good elsewhere.
_PARAMETERS = {
    "objective": "gamma", "metric": "gamma_deviance", "learning_rate": 0.1, "num_leaves": 4, "min_data_in_leaf": 40,
    "lambda_l2": 1.0, "feature_fraction": 0.8, "deterministic": True, "force_row_wise": True, "verbosity": -1,
}  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """The model of one loss: LightGBM's text, by what its predictions are multiplied, and how far losses scatter."""

    text: str
    scale: float
    dispersion: float
    """The mean square of (loss - expected) / expected, of rows that the model was not fitted to."""


@dataclass(frozen=True)
class Losses:
    """The models of a version's losses, by metric."""

    models: dict[str, Loss]

    @classmethod
    def fit(
        cls,
        matrix: Array,
        predicted: Array,
        truth: Array,
        *,
        categories: Sequence[int] = (),
        groups: Iterable[Any] | None = None,
        seed: int = 0,
        threads: int = 1,
    ) -> Self | None:
        """Learn from the matrix (n, features) of held-out rows, what was predicted for them and what was true.

        Of more than MOST_ROWS only some rows of the matrix are asked for, by their places, so it need not be held.
        Rows of one group (a customer) stay together when a model is judged on rows that it was not fitted to. None
        with fewer than 500 rows, or without any error.
        """
        errors = np.abs(truth - predicted)
        folds = _folds(len(predicted), groups, seed)
        if len(predicted) > MOST_ROWS:
            some = np.random.default_rng(seed).choice(len(predicted), MOST_ROWS, replace=False)
            matrix, predicted, errors, folds = matrix[some], predicted[some], errors[some], folds[some]
        rows = np.column_stack([matrix, predicted])
        if len(rows) < LEAST_ROWS or not errors.any() or len(np.unique(folds)) < 2:
            return None
        fixed = {**_PARAMETERS, "seed": seed, "num_threads": threads}
        return cls({name: _loss(rows, errors**power, folds, categories, fixed) for name, power in POWERS.items()})

    def estimate(self, matrix: Array, predicted: Array) -> dict[str, tuple[float, float]]:
        """mae and rmse that n rows should have, each with its standard error: of chance alone, as n rows show it."""
        import lightgbm

        rows = np.column_stack([matrix, predicted])
        found = {}
        for name, loss in self.models.items():
            expected = lightgbm.Booster(model_str=loss.text).predict(rows, num_threads=1) * loss.scale
            mean = float(np.mean(expected))
            error = float(np.sqrt(loss.dispersion * np.mean(expected**2) / len(rows)))
            # The delta method takes the error of a mean square to that of its root.
            found[name] = (mean, error) if POWERS[name] == 1 else (mean**0.5, error / (2 * mean**0.5))
        return found

    def to_json(self) -> str:
        """losses.json of a bundle."""
        return json.dumps({"format": FORMAT, "models": {name: vars(loss) for name, loss in self.models.items()}})

    @classmethod
    def read(cls, bundle: Bundle) -> Self:
        """Those that a bundle carries. Raises BundleError where it carries none, or not these."""
        if LOSSES not in bundle.contents:
            raise BundleError(
                f"the version in {bundle.folder} was trained without models of its errors",
                expected=f"a regression with {LEAST_ROWS} held-out rows or more",
                do="train it again with this release",
            )
        content = bundle.json(LOSSES)
        try:
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']}")
            return cls({name: Loss(**content["models"][name]) for name in POWERS})
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{bundle.folder / LOSSES} cannot be used: {error}", do="train it again") from error


def _folds(rows: int, groups: Iterable[Any] | None, seed: int) -> Array:
    if groups is None:
        return np.random.default_rng(seed).permutation(rows) % FOLDS
    return np.fromiter((zlib.crc32(str(group).encode()) % FOLDS for group in groups), dtype=np.int64, count=rows)


def _loss(rows: Array, loss: Array, folds: Array, categories: Sequence[int], parameters: dict[str, Any]) -> Loss:
    """One model: as many trees as were best for rows left out, scaled so that the mean of those is right."""
    import lightgbm

    mean = float(loss.mean())
    data = lightgbm.Dataset(
        rows, np.maximum(loss / mean, _LEAST), categorical_feature=list(categories), params=parameters,
        free_raw_data=False,
    )  # fmt: skip
    parts = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)]
    tried = lightgbm.cv(
        parameters, data, MOST_ROUNDS, folds=parts, return_cvbooster=True,
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )  # fmt: skip
    kept: Any = tried["cvbooster"]
    expected = np.empty(len(rows))
    for (_, out), booster in zip(parts, kept.boosters, strict=True):
        expected[out] = booster.predict(rows[out], num_iteration=kept.best_iteration, num_threads=1)
    scale = mean / float(expected.mean())
    expected *= scale
    dispersion = float(np.mean(((loss - expected) / expected) ** 2))
    model = lightgbm.train(parameters, data, max(kept.best_iteration, 1))
    return Loss(model.model_to_string(), scale, dispersion)
