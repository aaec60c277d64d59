"""Probabilities made to be what they say: a rising function from a model's scores to shares that were seen.

It is learnt from predictions of rows that the model was not fitted to. `sigmoid` is Platt's (1999, "Probabilistic
outputs for support vector machines"), on the log-odds; `isotonic` is Zadrozny & Elkan's (2002, "Transforming classifier
scores into accurate multiclass probability estimates", KDD), which has any rising form and wants some thousand rows. Of
more than two classes each is calibrated against the rest, and a row's results are divided by their sum, as scikit-learn
does it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from loopwright.errors import BundleError
from loopwright.models.bundle import CALIBRATION, Bundle
from loopwright.models.columns import Array, Prediction

Method = Literal["sigmoid", "isotonic"]
_LEAST = 1e-12


@dataclass(frozen=True)
class Calibration:
    """A function of the score: slope and intercept on the log-odds, or points of the isotonic one."""

    method: Method
    x: tuple[float, ...]
    y: tuple[float, ...]

    @classmethod
    def fit(cls, method: Method, scores: Array, target: Array) -> Self:
        """Learn from (n,) scores of rows that were left out, and what they were, 0 or 1."""
        if method == "isotonic":
            from sklearn.isotonic import IsotonicRegression

            found = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, target)
            return cls(method, tuple(found.X_thresholds_.tolist()), tuple(found.y_thresholds_.tolist()))
        from sklearn.linear_model import LogisticRegression

        # Next to no penalty: there are two numbers to learn.
        line = LogisticRegression(C=1e6).fit(_log_odds(scores).reshape(-1, 1), target.astype(np.int64))
        return cls(method, (float(line.coef_[0, 0]),), (float(line.intercept_[0]),))

    def __call__(self, scores: Array) -> Array:
        """Calibrated probabilities of (n,) scores."""
        if self.method == "isotonic":
            return np.asarray(np.interp(scores, self.x, self.y), dtype=np.float64)
        return np.asarray(1 / (1 + np.exp(-(self.x[0] * _log_odds(scores) + self.y[0]))), dtype=np.float64)

    def to_json(self) -> str:
        """calibration.json of a bundle."""
        return json.dumps({"format": 1, **self._content()})

    def _content(self) -> dict[str, Any]:
        return {"method": self.method, "x": list(self.x), "y": list(self.y)}

    @classmethod
    def _of(cls, content: Any) -> Self:
        x, y = (tuple(map(float, content[name])) for name in ("x", "y"))
        if content["method"] not in ("sigmoid", "isotonic") or len(x) != len(y) or not x:
            raise ValueError("it is of another form")
        return cls(content["method"], x, y)


@dataclass(frozen=True)
class OneAgainstRest:
    """A function for each of more than two classes."""

    each: tuple[Calibration, ...]

    @classmethod
    def fit(cls, method: Method, scores: Array, target: Array) -> Self:
        """Learn from probabilities (n, classes) of rows that were left out, and the places of what they were."""
        places = range(scores.shape[1])
        return cls(tuple(Calibration.fit(method, scores[:, place], target == place) for place in places))

    def __call__(self, scores: Array) -> Array:
        """Calibrated probabilities of (n, classes); as they were for a row of which every class is given none."""
        found = np.column_stack([one(scores[:, place]) for place, one in enumerate(self.each)])
        total = found.sum(axis=1, keepdims=True)
        return np.where(total > 0, found / np.where(total > 0, total, 1.0), scores)

    def to_json(self) -> str:
        """calibration.json of a bundle."""
        return json.dumps({"format": 2, "classes": [one._content() for one in self.each]})


def fit(method: Method, scores: Array, target: Array) -> Calibration | OneAgainstRest:
    """Learn from scores (n,), or of more than two classes (n, classes), of rows that were left out."""
    return (Calibration if scores.ndim == 1 else OneAgainstRest).fit(method, scores, target)


def of_row(
    calibration: Calibration | OneAgainstRest, score: Callable[[Sequence[float]], Prediction]
) -> Callable[[Sequence[float]], Prediction]:
    """The score of one row, calibrated; the same number, or numbers, as of an array."""

    def calibrated(row: Sequence[float]) -> Prediction:
        found: Prediction = calibration(np.array([score(row)]))[0].tolist()
        return found

    return calibrated


def read(bundle: Bundle) -> Calibration | OneAgainstRest | None:
    """The one that a bundle carries, if it does. Raises BundleError for what is none."""
    if CALIBRATION not in bundle.contents:
        return None
    content: Any = bundle.json(CALIBRATION)
    several = len(bundle.manifest.classes) > 2
    try:
        if content["format"] != (2 if several else 1):
            raise ValueError("it is of another format")
        if not several:
            return Calibration._of(content)
        each = tuple(map(Calibration._of, content["classes"]))
        if len(each) != len(bundle.manifest.classes):
            raise ValueError(f"it is of {len(each)} classes")
        return OneAgainstRest(each)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{bundle.folder / CALIBRATION} cannot be used: {error}", do="train it again") from error


def _log_odds(scores: Array) -> Array:
    clipped = np.clip(scores, _LEAST, 1 - _LEAST)
    return np.asarray(np.log(clipped / (1 - clipped)))
