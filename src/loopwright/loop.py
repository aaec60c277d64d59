"""The declaration of a model project, as frozen objects: what may stand in a loop.yaml, and what follows from it.

Everything else asks these objects, never the file; `declaration` reads the file into them.
"""

import hashlib
import json
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from loopwright.durations import Budget, Duration, FalseAlarmBudget

Share = Annotated[float, Field(ge=0, le=1)]
Scalar = bool | int | float | str
CLASSIFICATION_METRICS = ("roc_auc", "average_precision", "accuracy", "f1", "precision", "recall", "log_loss", "brier")
REGRESSION_METRICS = ("rmse", "mae", "r2")
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae"})


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Metadata(_Declared):
    """Who the loop is."""

    name: str = Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=40,
        description="The loop's name: a DNS label, as it becomes part of Kubernetes names and host names.",
    )


class Column(_Declared):
    """What one column of the data must satisfy."""

    type: Literal["integer", "number", "string", "boolean"] | None = Field(
        None, description="The type of the column; `values` alone makes it a string."
    )
    values: tuple[Scalar, ...] | None = Field(None, min_length=1, description="The values that may occur.")
    min: float | None = Field(None, description="The least value, included.")
    max: float | None = Field(None, description="The greatest value, included.")
    missing: Share = Field(0.0, description="The share of missing values that is accepted, 0 to 1.")
    unique: bool = Field(False, description="No value may occur twice.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.type is None and self.values is None and self.min is None and self.max is None:
            raise ValueError("a column needs a type, values, or a range")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        if self.kind in ("string", "boolean") and (self.min is not None or self.max is not None):
            raise ValueError(f"a {self.kind} column has no min and max")
        return self

    @property
    def kind(self) -> Literal["integer", "number", "string", "boolean"]:
        """The type, inferred from `values` and the range where it is not given."""
        if self.type is not None:
            return self.type
        if self.values is not None:
            if all(isinstance(value, bool) for value in self.values):
                return "boolean"
            if all(isinstance(value, int) for value in self.values):
                return "integer"
            if all(isinstance(value, (int, float)) for value in self.values):
                return "number"
            return "string"
        return "number"

    @property
    def numeric(self) -> bool:
        """Whether the model sees the column as a number; a boolean is seen as 0 and 1."""
        return self.kind in ("integer", "number", "boolean")


class Label(_Declared):
    """What is to be predicted."""

    column: str = Field(description="The column that holds the label.")
    delay: Duration = Field(
        timedelta(0), description="How long after the observation the label is known; younger rows wait."
    )
    positive: Scalar | None = Field(
        None, description="Classification: the value that counts as positive; by default the one that sorts last."
    )


class Holdout(_Declared):
    """Which rows judge the model, and are never trained on."""

    share: Annotated[float, Field(gt=0, lt=1)] = Field(0.2, description="The share of the rows, 0 to 1.")
    by: Literal["entity", "time", "random"] = Field(
        "random",
        description="entity: by a hash of the entity; random: by a hash of the row; both keep their side in "
        "every version. time: the newest rows.",
    )


class Data(_Declared):
    """Where the rows come from and what they must satisfy."""

    source: str = Field(description="A CSV or Parquet file, a folder of them, or a glob; relative to the loop.")
    entity: str | None = Field(None, description="The column that names what a row is about.")
    timestamp: str | None = Field(None, description="The column that says when the row was observed.")
    label: Label
    history: Duration | None = Field(None, description="Only rows at most this much older than the newest are used.")
    holdout: Holdout = Holdout()
    set_aside: Share = Field(
        0.05, description="The share of rows that may break the contract; they are set aside, and above it a run fails."
    )
    contract: dict[str, Column] = Field(min_length=1, description="What each column must satisfy.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.holdout.by == "entity" and self.entity is None:
            raise ValueError("holdout by entity needs `entity`, the column that names what a row is about")
        if self.timestamp is None and self.holdout.by == "time":
            raise ValueError("holdout by time needs `timestamp`, the column that says when a row was observed")
        if self.timestamp is None and self.history is not None:
            raise ValueError("history needs `timestamp`, the column that says when a row was observed")
        return self


class Model(_Declared):
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


class ChampionRule(_Declared):
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


class Gates(_Declared):
    """What a challenger must pass before it is registered."""

    minimum: dict[str, float] = Field({}, description="The least value of a metric on the holdout.")
    maximum: dict[str, float] = Field({}, description="The greatest value of a metric on the holdout.")
    champion: dict[str, ChampionRule] = Field({}, description="How each metric must compare with the champion's.")
    approval: Literal["auto", "required"] = Field("auto", description="Whether a person must approve the version.")


class ErrorRate(_Declared):
    """Roll back when the challenger fails more of its requests than this, and more than the champion."""

    max: Share = 0.01


class LatencyP99(_Declared):
    """Roll back when more than 1 % of the challenger's requests take longer, and more than of the champion's."""

    max: Duration = timedelta(milliseconds=50)


class PredictionShift(_Declared):
    """Roll back when the distributions of the two versions' predictions are further apart than this."""

    max: Share = Field(0.5, description="The greatest distance between the distribution functions (K-S), 0 to 1.")


class LabelMetric(_Declared):
    """Roll back when the challenger's loss on labelled predictions is above the champion's by more than this."""

    max_increase: Annotated[float, Field(ge=0)] = Field(
        0.01, description="Classification: Brier score. Regression: squared error in units of the label's variance."
    )
    min_labels: int = Field(0, ge=0, description="Labels that a step waits for, of the challenger's predictions.")


class Analysis(_Declared):
    """What a verdict looks at; a metric that is not named is not looked at."""

    error_rate: ErrorRate | None = None
    latency_p99: LatencyP99 | None = None
    prediction_shift: PredictionShift | None = None
    label_metric: LabelMetric | None = None


class Rollout(_Declared):
    """How a version goes live."""

    strategy: Literal["canary", "blue_green"] = "canary"
    steps: tuple[Annotated[int, Field(gt=0, le=100)], ...] = Field(
        (5, 25, 50, 100), description="The challenger's share of the traffic at each step, in percent, rising."
    )
    bake: Duration = Field(timedelta(minutes=10), description="The least time at each step.")
    min_requests: int = Field(100, ge=1, description="The least number of the challenger's requests at each step.")
    timeout: Duration = Field(timedelta(hours=1), description="A step with no verdict after this long is rolled back.")
    false_rollbacks: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05,
        description="The chance that a challenger that does as well as the champion at the same time is rolled back, "
        "over all metrics, steps and looks.",
    )
    analysis: Analysis = Analysis(error_rate=ErrorRate(), latency_p99=LatencyP99(), prediction_shift=PredictionShift())

    @field_validator("steps")
    @classmethod
    def _rising(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if not steps or list(steps) != sorted(set(steps)):
            raise ValueError("the steps rise, such as [5, 25, 50, 100]")
        return steps if steps[-1] == 100 else (*steps, 100)


class Monitor(_Declared):
    """When live data counts as drifted."""

    window: Duration = Field(timedelta(hours=1), description="How much of the recent traffic is compared.")
    false_alarms: FalseAlarmBudget = Field(
        Budget(1, timedelta(days=90)), description="The budget for the whole loop, not per feature."
    )
    min_effect: Share = Field(0.1, description="The least Jensen-Shannon distance (base 2) that is worth an alarm.")
    min_events: int = Field(500, ge=1, description="The least number of predictions in a window.")
    persistence: int = Field(2, ge=1, description="How many looks in a row must agree.")
    reference: Duration | None = Field(
        None, description="The profile is made of training rows at most this much older than the newest; default all."
    )
    bins: int = Field(10, ge=2, le=50, description="Quantile bins for a number; top categories for a string.")


class Retrain(_Declared):
    """When an alarm may start a run."""

    on: tuple[Literal["drift"], ...] = ("drift",)
    cooldown: Duration = Field(timedelta(hours=24), description="The least time between two automatic runs.")
    min_new_rows: int = Field(0, ge=0, description="Labelled rows that must have come since the last snapshot.")
    daily_cap: int = Field(4, ge=1, description="The most automatic runs in 24 hours.")
    max_failures: int = Field(3, ge=1, description="After this many failed runs in a row, a person must start one.")


class Loop(_Declared):
    """One declared model project."""

    apiVersion: Literal["loopwright/v1"]
    kind: Literal["Loop"]
    metadata: Metadata
    data: Data
    model: Model
    gates: Gates = Gates()
    rollout: Rollout = Rollout()
    monitor: Monitor = Monitor()
    retrain: Retrain = Retrain()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.inputs:
            raise ValueError("the contract names no input column beside the label, the entity and the timestamp")
        known = CLASSIFICATION_METRICS if self.model.task == "classification" else REGRESSION_METRICS
        for metric in (*self.gates.minimum, *self.gates.maximum, *self.gates.champion):
            if metric not in known:
                raise ValueError(f"gates: {metric} is no metric of {self.model.task}; there are {', '.join(known)}")
        return self

    @property
    def name(self) -> str:
        """The loop's name."""
        return self.metadata.name

    @property
    def inputs(self) -> dict[str, Column]:
        """The columns that a model takes, in the contract's order: all but label, entity and timestamp."""
        special = {self.data.label.column, self.data.entity, self.data.timestamp}
        return {name: column for name, column in self.data.contract.items() if name not in special}

    @property
    def digest(self) -> str:
        """SHA-256 of the declaration, however it was formatted."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The whole declaration with its defaults, as `from_json` reads it."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls.model_validate_json(text)
