"""A loaded model: raw columns in, one number a row out; of more than two classes a number for each.

The number is the probability of the positive class, or the value. Nothing here unpickles: LightGBM's text is parsed
by LightGBM, and a scikit-learn estimator is read by skops, of trusted types and no other (see `scikit`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from loopwright.errors import BundleError, InputError
from loopwright.models import bundle as bundles
from loopwright.models import calibration, features, pipeline, sampled, scikit
from loopwright.models.booster import batch_score, quick_score, row_score
from loopwright.models.bundle import LIGHTGBM, SKOPS, Bundle
from loopwright.models.coded import Coded
from loopwright.models.columns import Array, Columns, Prediction, Value, from_values, length

Score = Callable[[Array], Array]
RowScore = Callable[[Sequence[float]], Prediction]
Engine = Literal["lightgbm", "bit vectors", "scikit-learn"]


class Model:
    """What a bundle predicts with. Safe to share between threads."""

    def __init__(self, bundle: Bundle) -> None:
        """Load the verified bundle. Raises BundleError when its model cannot be used."""
        self.manifest = bundle.manifest
        self.digest = bundle.digest
        self.task = bundle.manifest.task
        self.classes = bundle.manifest.classes
        self.threshold = bundle.manifest.threshold
        self.inputs = bundle.manifest.inputs
        self.ignored = bundle.manifest.ignored
        source = bundle.contents.get(features.FILE)
        self._features = features.load(source.decode()) if source is not None else None
        self._encode = features.Encoder(bundle.manifest.features)
        self.estimator = _load(bundle)
        self._calibration = calibration.read(bundle)
        self.reference = sampled.read(bundle)
        self._score, self._score_row = _scores(self.estimator, self.task, len(self.classes))
        if self._calibration is not None:
            self._score_row = calibration.of_row(self._calibration, self._score_row)
        self._text = bundle.contents[LIGHTGBM].decode() if LIGHTGBM in bundle.contents else None
        self.engine: Engine = "scikit-learn" if self._text is None else "lightgbm"
        self.gain = 1.0
        # Without feature code the row that the estimator sees is the request's in another order.
        self._encode_row = features.RowEncoder(bundle.manifest.features, self.inputs) if source is None else None

    def predict(self, columns: Columns) -> Array:
        """P(positive class) or the value of each row, float64 (n,), of raw columns (see `columns`).

        Of more than two classes the probability of each, float64 (n, classes), in the order of `classes`. Raises
        InputError when there is no row, DeclarationError when the feature code fails.
        """
        if length(columns) == 0:
            raise InputError("there are no rows to predict", expected="at least one")
        return self.predict_matrix(self.matrix(columns))

    def predict_matrix(self, matrix: Array) -> Array:
        """`predict` of rows as the estimator sees them: float64 (n, features), of at least one row."""
        scores = self._score(matrix)
        return scores if self._calibration is None else self._calibration(scores)

    def score(self, matrix: Array) -> Array:
        """`predict_matrix` before the calibration, which is what explanations add up to."""
        return self._score(matrix)

    def predict_row(self, values: Sequence[Value]) -> Prediction:
        """`predict` of one row: its values in the order of `inputs`, a float or NaN, or text or None."""
        if self._encode_row is not None:
            return self._score_row(self._encode_row(values))
        return self._score_row(self.matrix(from_values(self.inputs, values))[0].tolist())

    def quicken(self) -> None:
        """Predict batches several times as fast from now on, where that gives the same numbers to 1e-12.

        `engine` says by what batches are predicted, and `gain` how many times as fast as by the library. Takes from
        hundredths of a second to seconds, by the number of leaves, and may go on in a thread of its own while others
        predict; for who predicts thousands of rows or more.
        """
        text, self._text = self._text, None
        if text is None:
            return
        quickened = quick_score(self.estimator, text)
        if quickened is not None:
            self._score, self.gain, self.engine = quickened.score, quickened.gain, "bit vectors"

    def matrix(self, columns: Columns, coded: Mapping[str, Coded] | None = None) -> Array:
        """What the estimator sees of the raw columns: float64 (n, features).

        `coded` has columns that are known by their distinct values, too, which is faster for many rows.
        """
        return self._encode(self._features(columns) if self._features is not None else columns, coded)


def load(folder: Any, digest: str | None = None) -> Model:
    """Verify and load the bundle in `folder`. Raises BundleError."""
    return Model(bundles.read(folder, digest))


def sklearn_score(estimator: Any, task: str, classes: int = 2) -> Score:
    """Score with a scikit-learn estimator: the probability of the second class, of each of more, or the value."""
    if task == "classification" and classes > 2:

        def each(matrix: Array) -> Array:
            found = np.zeros((len(matrix), classes))
            # A class that its rows did not have, as a part of the training rows may lack one, is never predicted.
            found[:, np.asarray(estimator.classes_, dtype=np.intp)] = estimator.predict_proba(matrix)
            return found

        return each
    if task == "classification":
        return lambda matrix: np.asarray(estimator.predict_proba(matrix)[:, 1], dtype=np.float64)
    return lambda matrix: np.asarray(estimator.predict(matrix), dtype=np.float64).reshape(-1)


def _scores(estimator: Any, task: str, classes: int) -> tuple[Score, RowScore]:
    if hasattr(estimator, "model_to_string"):
        return batch_score(estimator), row_score(estimator)
    return pipeline.scores(estimator, lambda part: sklearn_score(part, task, classes))


def _load(bundle: Bundle) -> Any:
    try:
        if LIGHTGBM in bundle.contents:
            import lightgbm

            return lightgbm.Booster(model_str=bundle.contents[LIGHTGBM].decode())
        if SKOPS in bundle.contents:
            return scikit.loads(bundle.contents[SKOPS], str(bundle.folder / SKOPS))
    except BundleError:
        raise
    except Exception as error:
        raise BundleError(
            f"the model in {bundle.folder} cannot be loaded: {type(error).__name__}: {error}",
            do="check that the libraries are of the versions it was trained with",
        ) from error
    raise BundleError(f"there is no model in {bundle.folder}", expected=f"{LIGHTGBM} or {SKOPS}")
