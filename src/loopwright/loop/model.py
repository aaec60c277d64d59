"""The declared model: what is trained, and the names of the metrics that judge it."""

from typing import Literal

from pydantic import Field

from loopwright.loop.fields import Declared, Scalar

CLASSIFICATION_METRICS = ("roc_auc", "average_precision", "accuracy", "f1", "precision", "recall", "log_loss", "brier")
REGRESSION_METRICS = ("rmse", "mae", "r2")
# What a model is judged by beyond them, and no monitor follows.
CLASSIFICATION_ONLY_JUDGED = ("false_positive_rate", "calibration_error")
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae", "false_positive_rate", "calibration_error"})


class Model(Declared):
    """What is trained."""

    task: Literal["classification", "regression"]
    estimator: str = Field(
        "lightgbm",
        pattern=r"^(lightgbm|logistic_regression|linear_regression|random_forest|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$",
        description="lightgbm, logistic_regression, linear_regression, random_forest, or module:factory for a "
        "scikit-learn estimator of your own.",
    )
    parameters: dict[str, Scalar] = Field({}, description="Parameters that replace the estimator's defaults.")
    features: str | None = Field(None, description="A Python file with `features(columns)`, relative to the loop.")
    seed: int = Field(7, ge=0, lt=2**31, description="Makes splits and training repeatable.")
