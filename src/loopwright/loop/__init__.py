"""The declaration of a model project, as frozen objects: what may stand in a loop.yaml, and what follows from it.

Everything else asks these objects, never the file; `declaration` reads the file into them. One module a section.
"""

import hashlib
import json
from typing import Literal, Self

from pydantic import Field, model_validator

from loopwright.loop.archive import RESERVED
from loopwright.loop.card import Card
from loopwright.loop.data import Column, Data
from loopwright.loop.fields import Declared, Scalar
from loopwright.loop.gates import ChampionRule, FairnessRule, Gates, Limit, Served
from loopwright.loop.model import (
    CLASSIFICATION_METRICS,
    LABELLED_CLASSES,
    LOWER_IS_BETTER,
    MULTICLASS_METRICS,
    REGRESSION_METRICS,
    Costs,
    EarlyStopping,
    Model,
)
from loopwright.loop.operations import Monitor, Retrain
from loopwright.loop.rollout import Rollout
from loopwright.loop.scale import AnyScale, Scale
from loopwright.loop.scale import check as check_scale
from loopwright.loop.search import Search, Space
from loopwright.loop.serving import Serving

__all__ = [
    "CLASSIFICATION_METRICS",
    "LOWER_IS_BETTER",
    "REGRESSION_METRICS",
    "ChampionRule",
    "Column",
    "Costs",
    "EarlyStopping",
    "FairnessRule",
    "Limit",
    "Loop",
    "Model",
    "Retrain",
    "Rollout",
    "Scalar",
    "Scale",
    "Search",
    "Served",
    "Serving",
    "Space",
]


class Metadata(Declared):
    """Who the loop is."""

    name: str = Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=40,
        description="The loop's name: a DNS label, as it becomes part of Kubernetes names and host names.",
    )


class Loop(Declared):
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
    serving: Serving = Serving()
    card: Card = Card()
    scale: AnyScale | None = Field(
        None, description="Several processes that train and evaluate part by part; `dask` takes the defaults."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.inputs:
            raise ValueError("the contract names no input column beside the label, the entity and the timestamp")
        known = CLASSIFICATION_METRICS if self.model.task == "classification" else REGRESSION_METRICS
        if self.data.label.classes:
            self._of_classes()
            known = LABELLED_CLASSES
        for metric in (*self.gates.minimum, *self.gates.maximum, *self.gates.champion):
            if metric not in self.judged_by:
                there = ", ".join(self.judged_by)
                raise ValueError(f"gates: {metric} is no metric of {self.model.task}; there are {there}")
        self._model_and_gates()
        self._archivable()
        check_scale(self)
        if self.retrain.rows == "after_onset" and self.data.timestamp is None:
            raise ValueError("retrain: rows after_onset needs `data.timestamp`, which says when a row was observed")
        if self.monitor.seasonality is not None and self.data.timestamp is None:
            raise ValueError("monitor: seasonality needs `data.timestamp`, which says when a row was observed")
        watched = self.monitor.performance
        if watched.metric is not None and watched.metric not in known:
            raise ValueError(
                f"monitor.performance: {watched.metric} is no metric that labels give of {self.model.task}; "
                f"there are {', '.join(known)}"
            )
        if unknown := [name for name in watched.slices if name not in self.inputs]:
            raise ValueError(f"monitor.performance.slices: {', '.join(unknown)} is no input of the contract")
        if unknown := [name for name in self.monitor.skew.max_share_of if name not in self.inputs]:
            raise ValueError(f"monitor.skew.max_share_of: {', '.join(unknown)} is no input of the contract")
        return self

    def _model_and_gates(self) -> None:
        """Raise ValueError for a name in model or gates that is no column of the contract, or of the wrong kind."""
        special = {self.data.label.column, self.data.entity, self.data.timestamp}
        if unknown := [name for name in self.model.exclude if name not in self.data.contract or name in special]:
            raise ValueError(f"model.exclude: {', '.join(unknown)} is no input of the contract")
        search = self.model.search
        if search is not None and search.metric is not None and search.metric not in self.judged_by:
            raise ValueError(f"model.search: {search.metric} is no metric of {self.model.task}")
        if self.gates.fairness and self.model.task == "regression":
            raise ValueError("gates.fairness compares decisions, which a regression does not take")
        if unknown := [name for name in self.gates.fairness if name not in self.data.contract or name in special]:
            raise ValueError(f"gates.fairness: {', '.join(unknown)} is no column of the contract")
        if unknown := [name for name in self.gates.slices if name not in self.data.contract]:
            raise ValueError(f"gates.slices: {', '.join(unknown)} is no column of the contract")
        for name in self.gates.monotone:
            if name not in self.inputs or not self.inputs[name].numeric:
                raise ValueError(f"gates.monotone: {name} is no numeric input of the contract")

    def _of_classes(self) -> None:
        """Raise ValueError for what more than two classes do not have."""
        if self.model.task == "regression":
            raise ValueError("data.label.classes is for a classification")
        for name in ("costs", "threshold"):
            if getattr(self.model, name) is not None:
                raise ValueError(f"model.{name} is for two classes; of more the most probable one is decided")
        if self.gates.monotone:
            raise ValueError("gates.monotone is for two classes: of more no probability is the prediction")
        if self.gates.fairness:
            raise ValueError("gates.fairness compares positive decisions, which more than two classes do not have")

    def _archivable(self) -> None:
        """Raise ValueError for an archive that would keep what it should not, or mistake an input for its own."""
        archive = self.monitor.archive
        if archive is None:
            return
        unknown = sorted(set(archive.redact) - self.inputs.keys())
        if unknown:
            # A misspelt name would keep what was to be dropped.
            raise ValueError(
                f"monitor.archive.redact: {', '.join(unknown)} is no input; there are {', '.join(self.inputs)}"
            )
        reserved = RESERVED | {"predicted_class"} if self.several else RESERVED
        if taken := sorted(reserved & self.inputs.keys() - set(archive.redact)):
            raise ValueError(
                f"monitor.archive: the input {', '.join(taken)} has the name of a column of the archive's own; "
                "rename it, or redact it"
            )

    @property
    def name(self) -> str:
        """The loop's name."""
        return self.metadata.name

    @property
    def inputs(self) -> dict[str, Column]:
        """The columns that a model takes, in the contract's order: all but label, entity and timestamp."""
        special = {self.data.label.column, self.data.entity, self.data.timestamp, *self.model.exclude}
        return {name: column for name, column in self.data.contract.items() if name not in special}

    @property
    def judged_by(self) -> tuple[str, ...]:
        """The metrics that a challenger is judged by, in the order in which people read them."""
        return MULTICLASS_METRICS if self.several else self.model.judged_by

    @property
    def first_metric(self) -> str:
        """The metric that people look at first, and that a search goes by where none is declared."""
        if self.model.task == "regression":
            return "rmse"
        return "roc_auc_ovr" if self.several else "roc_auc"

    @property
    def searched_by(self) -> str:
        """The metric that sets of parameters are compared by."""
        return (self.model.search.metric if self.model.search is not None else None) or self.first_metric

    @property
    def scaled(self) -> Scale | None:
        """The declared scale with its defaults, None where none is declared."""
        return Scale() if self.scale == "dask" else self.scale

    @property
    def several(self) -> bool:
        """Whether it is a classification into more than two classes."""
        return bool(self.data.label.classes)

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
