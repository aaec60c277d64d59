"""A loaded model: raw columns in, one number a row out.

The number is the probability of the positive class, or the value. Nothing here unpickles: LightGBM's text is parsed
by LightGBM, and a scikit-learn estimator is read by skops, of trusted types and no other (see `scikit`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from loopwright.errors import BundleError, InputError
from loopwright.models import bundle as bundles
from loopwright.models import features, scikit
from loopwright.models.bundle import LIGHTGBM, SKOPS, Bundle
from loopwright.models.columns import Array, Columns, length

Score = Callable[[Array], Array]


class Model:
    """What a bundle predicts with. Safe to share between threads."""

    def __init__(self, bundle: Bundle) -> None:
        """Load the verified bundle. Raises BundleError when its model cannot be used."""
        self.manifest = bundle.manifest
        self.digest = bundle.digest
        self.task = bundle.manifest.task
        self.classes = bundle.manifest.classes
        self.inputs = bundle.manifest.inputs
        self.ignored = bundle.manifest.ignored
        source = bundle.contents.get(features.FILE)
        self._features = features.load(source.decode()) if source is not None else None
        self._encode = features.Encoder(bundle.manifest.features)
        self._score = _load_score(bundle)

    def predict(self, columns: Columns) -> Array:
        """P(positive class) or the value of each row, float64 (n,), of raw columns (see `columns`).

        Raises InputError when there is no row, DeclarationError when the feature code fails.
        """
        if length(columns) == 0:
            raise InputError("there are no rows to predict", expected="at least one")
        return self._score(self.matrix(columns))

    def matrix(self, columns: Columns) -> Array:
        """What the estimator sees of the raw columns: float64 (n, features)."""
        return self._encode(self._features(columns) if self._features is not None else columns)


def load(folder: Any, digest: str | None = None) -> Model:
    """Verify and load the bundle in `folder`. Raises BundleError."""
    return Model(bundles.read(folder, digest))


def booster_score(booster: Any) -> Score:
    """Score with a LightGBM booster, in the calling thread: it is one row or a small batch that is predicted."""

    def score(matrix: Array) -> Array:
        return np.asarray(booster.predict(matrix, num_threads=1), dtype=np.float64)

    return score


def sklearn_score(estimator: Any, task: str) -> Score:
    """Score with a scikit-learn estimator: the probability of the second class, or the value."""
    if task == "classification":
        return lambda matrix: np.asarray(estimator.predict_proba(matrix)[:, 1], dtype=np.float64)
    return lambda matrix: np.asarray(estimator.predict(matrix), dtype=np.float64).reshape(-1)


def _load_score(bundle: Bundle) -> Score:
    try:
        if LIGHTGBM in bundle.contents:
            import lightgbm

            return booster_score(lightgbm.Booster(model_str=bundle.contents[LIGHTGBM].decode()))
        if SKOPS in bundle.contents:
            return sklearn_score(scikit.loads(bundle.contents[SKOPS], str(bundle.folder / SKOPS)), bundle.manifest.task)
    except BundleError:
        raise
    except Exception as error:
        raise BundleError(
            f"the model in {bundle.folder} cannot be loaded: {type(error).__name__}: {error}",
            do="check that the libraries are of the versions it was trained with",
        ) from error
    raise BundleError(f"there is no model in {bundle.folder}", expected=f"{LIGHTGBM} or {SKOPS}")
