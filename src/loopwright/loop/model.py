"""The declared model: what is trained, and the gates that a challenger must pass."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loopwright.loop.fields import Declared, Scalar, Share

CLASSIFICATION_METRICS = ("roc_auc", "average_precision", "accuracy", "f1", "precision", "recall", "log_loss", "brier")
REGRESSION_METRICS = ("rmse", "mae", "r2")
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae"})


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


class ChampionRule(Declared):
    """How a challenger's metric must compare with the champion's on the same rows."""

    no_worse_by: Annotated[float, Field(ge=0)] | None = Field(
        None, description="The challenger is no worse than the champion by more than this, shown with `confidence`."
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(0.95, description="How sure the gate must be.")
    max_drop: Share | None = Field(None, description="The greatest drop relative to the champion's value, 0 to 1.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.no_worse_by is None) == (self.max_drop is None):
            raise ValueError("a champion rule has either no_worse_by (with confidence) or max_drop")
        return self


class Gates(Declared):
    """What a challenger must pass before it is registered."""

    minimum: dict[str, float] = Field({}, description="The least value of a metric on the holdout.")
    maximum: dict[str, float] = Field({}, description="The greatest value of a metric on the holdout.")
    champion: dict[str, ChampionRule] = Field({}, description="How each metric must compare with the champion's.")
    approval: Literal["auto", "required"] = Field("auto", description="Whether a person must approve the version.")
