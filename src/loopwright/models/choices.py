"""What the declaration chooses of how an estimator is fitted: loss, weights of classes, when to stop, calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np

from loopwright.errors import DataError, DeclarationError
from loopwright.loop import EarlyStopping, Model, Scalar
from loopwright.loop.spelling import place
from loopwright.models.columns import Array

Objective = Literal["squared", "absolute", "quantile", "poisson"]
_LIGHTGBM = {"squared": "regression", "absolute": "regression_l1", "quantile": "quantile", "poisson": "poisson"}
_FOREST = {"squared": "squared_error", "absolute": "absolute_error", "poisson": "poisson"}


@dataclass(frozen=True)
class Choices:
    """How an estimator is fitted."""

    objective: Objective | None = None
    quantile: float | None = None
    class_weight: Literal["balanced"] | tuple[float, ...] | None = None
    """Weights of the classes, the negative one before the positive."""
    early_stopping: EarlyStopping | None = None
    calibration: Literal["sigmoid", "isotonic"] | None = None
    classes: int = 2
    """How many a classification tells apart."""

    @classmethod
    def of(cls, model: Model, classes: Sequence[str]) -> Self:
        """What a loop declares. Raises DeclarationError for a weight of a class that there is not."""
        weights: Any = model.class_weight
        if isinstance(weights, dict):
            if unknown := sorted(name for name in weights if place(classes, name) < 0):
                raise DeclarationError(
                    f"model.class_weight names {', '.join(unknown)}",
                    expected=f"the label's classes: {', '.join(map(str, classes))}",
                )
            declared = {place(classes, name): weight for name, weight in weights.items()}
            weights = tuple(declared.get(at, 1.0) for at in range(len(classes)))
        known = max(len(classes), 2)
        return cls(model.objective, model.quantile, weights, model.early_stopping, model.calibration, known)

    def without_calibration(self) -> Self:
        """The same for trials, which a calibration would make six times as slow."""
        return replace(self, calibration=None)

    def check(self, target: Array) -> None:
        """Raise DataError where the target cannot have this loss."""
        if self.objective == "poisson" and len(target) and target.min() < 0:
            raise DataError(
                f"the label goes down to {target.min():g}",
                expected="counts of zero or more for `objective: poisson`",
                do="choose another objective",
            )

    def weights(self, target: Array) -> Array | None:
        """The weight of each row of a classification, by its class: 0 and 1, or more."""
        if self.class_weight is None:
            return None
        if self.classes > 2:
            codes = target.astype(np.intp)
            if self.class_weight == "balanced":
                # As scikit-learn's: every class has the same sum.
                return np.asarray(len(codes) / (self.classes * np.bincount(codes, minlength=self.classes))[codes])
            return np.array(self.class_weight)[codes]
        if self.class_weight == "balanced":
            share = float(target.mean())
            return np.where(target > 0, 0.5 / share, 0.5 / (1 - share))
        negative, positive = self.class_weight
        return np.where(target > 0, positive, negative)

    def for_lightgbm(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """LightGBM's parameters. Raises DeclarationError where `parameters` name an objective, too."""
        if self.objective is None:
            return {}
        if "objective" in own:
            raise DeclarationError(
                "the objective is in model.parameters and in model.objective", do="leave one of the two out"
            )
        alpha = {} if self.quantile is None else {"alpha": self.quantile}
        return {"objective": _LIGHTGBM[self.objective], **alpha}

    def for_scikit(self, estimator: str, parameters: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The parameters with the loss. Raises DeclarationError for a loss that the estimator does not have."""
        if self.objective in (None, "squared"):
            return dict(parameters)
        assert self.objective is not None
        if estimator == "random_forest" and self.objective in _FOREST:
            return {"criterion": _FOREST[self.objective], **parameters}
        raise DeclarationError(
            f"the estimator {estimator} has no objective {self.objective}",
            expected="lightgbm" + (" or random_forest" if self.objective in _FOREST else ""),
            do="change model.estimator or model.objective in loop.yaml",
        )


NONE = Choices()
