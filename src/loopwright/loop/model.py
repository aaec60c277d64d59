"""The declared model: what is trained and how, what decisions cost, and the names of the metrics that judge it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loopwright.loop.fields import Declared, Scalar, Share
from loopwright.loop.search import Search

CLASSIFICATION_METRICS = ("roc_auc", "average_precision", "accuracy", "f1", "precision", "recall", "log_loss", "brier")
REGRESSION_METRICS = ("rmse", "mae", "r2")
MULTICLASS_METRICS = (
    "roc_auc_ovr",
    "accuracy",
    "balanced_accuracy",
    "f1_macro",
    "log_loss",
    "brier",
    "calibration_error",
)
"""Of more than two classes, by scikit-learn's names of scorers; `LABELLED_CLASSES` are those that decisions give."""
LABELLED_CLASSES = ("accuracy", "balanced_accuracy", "f1_macro")
# What a model is judged by beyond them, and no monitor follows.
CLASSIFICATION_ONLY_JUDGED = ("false_positive_rate", "calibration_error", "cost")
REGRESSION_ONLY_JUDGED = ("pinball", "poisson_deviance")
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae", *CLASSIFICATION_ONLY_JUDGED, *REGRESSION_ONLY_JUDGED})


class Costs(Declared):
    """What one decision of each kind costs, in any unit; below zero is a profit."""

    false_positive: float = Field(description="Of a row that is decided positive and is not.")
    false_negative: float = Field(description="Of a row that is positive and not decided so.")
    true_positive: float = Field(0.0, description="Of a row that is rightly decided positive.")
    true_negative: float = Field(0.0, description="Of a row that is rightly decided negative.")

    @model_validator(mode="after")
    def _wrong_costs_more(self) -> Self:
        if self.false_positive <= self.true_negative or self.false_negative <= self.true_positive:
            raise ValueError("a wrong decision has to cost more than the right one: nothing is decided otherwise")
        return self

    @property
    def threshold(self) -> float:
        """The probability from which on deciding positive costs less.

        Elkan 2001, "The foundations of cost-sensitive learning", IJCAI, equation 2; it takes probabilities at their
        word.
        """
        wrong, missed = self.false_positive - self.true_negative, self.false_negative - self.true_positive
        return wrong / (wrong + missed)


class EarlyStopping(Declared):
    """LightGBM: as many trees as are best for a part of the training rows; then all rows train that many."""

    rounds: Annotated[int, Field(ge=1)] = Field(50, description="Trees without a better loss after which it stops.")
    share: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.2, description="The share of the training rows that tells, chosen as the holdout is."
    )


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
    objective: Literal["squared", "absolute", "quantile", "poisson"] | None = Field(
        None, description="Regression: the loss that is minimised; squared by default."
    )
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="The quantile that `objective: quantile` predicts."
    )
    class_weight: Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="How much a row of each class counts in training; balanced: all classes as much together."
    )
    early_stopping: EarlyStopping | None = None
    calibration: Literal["sigmoid", "isotonic"] | None = Field(
        None, description="How probabilities are made to be what they say, by predictions of five parts left out."
    )
    costs: Costs | None = Field(None, description="What decisions cost; the threshold follows from it.")
    threshold: Share | None = Field(
        None, description="The probability from which on a row is decided positive; 0.5 without `costs`."
    )
    search: Search | None = None
    learning_curve: bool = Field(
        False,
        description="Whether training also tells how good it is with fewer rows, which takes ten more fits or so.",
    )
    exclude: tuple[str, ...] = Field(
        (), description="Columns of the contract that the model does not see, as one that only fairness is judged by."
    )
    features: str | None = Field(None, description="A Python file with `features(columns)`, relative to the loop.")
    seed: int = Field(7, ge=0, lt=2**31, description="Makes splits and training repeatable.")

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        regression = self.task == "regression"
        for name in ("class_weight", "calibration", "costs", "threshold"):
            if regression and getattr(self, name) is not None:
                raise ValueError(f"{name} is for a classification")
        if not regression and self.objective is not None:
            raise ValueError("objective is for a regression; a classification learns probabilities")
        if (self.objective == "quantile") != (self.quantile is not None):
            raise ValueError("quantile and `objective: quantile` belong together")
        if self.costs is not None and self.threshold is not None:
            raise ValueError("the threshold follows from costs: leave one of the two out")
        if self.early_stopping is not None and self.estimator != "lightgbm":
            raise ValueError(f"early_stopping is for lightgbm, and the estimator is {self.estimator}")
        if self.early_stopping is not None and self._may_be_dart:
            raise ValueError("early_stopping is not for `boosting: dart`, whose new trees change those before them")
        if self.search is not None and not self.search.space and self.estimator != "lightgbm":
            raise ValueError(f"search needs a space for {self.estimator}; only lightgbm has one by default")
        return self

    @property
    def _may_be_dart(self) -> bool:
        tried: list[object] = []
        for name in ("boosting", "boosting_type", "boost"):
            space = None if self.search is None else self.search.space.get(name)
            tried += [self.parameters.get(name), *((space.choices or ()) if space is not None else ())]
        return "dart" in tried

    @property
    def decided_at(self) -> float:
        """The probability from which on a row is decided positive."""
        if self.costs is not None:
            return self.costs.threshold
        return 0.5 if self.threshold is None else self.threshold

    @property
    def judged_by(self) -> tuple[str, ...]:
        """The metrics that a challenger is judged by, in the order in which people read them."""
        if self.task == "regression":
            own = {"pinball": self.objective == "quantile", "poisson_deviance": self.objective == "poisson"}
            return (*REGRESSION_METRICS, *(name for name in REGRESSION_ONLY_JUDGED if own[name]))
        return (*CLASSIFICATION_METRICS, *CLASSIFICATION_ONLY_JUDGED[: None if self.costs else -1])
