"""The declared data: where rows come from, what they must satisfy, and which of them judge."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loopwright.durations import Duration
from loopwright.loop.fields import Declared, Scalar, Share


class Column(Declared):
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


class Label(Declared):
    """What is to be predicted."""

    column: str = Field(description="The column that holds the label.")
    delay: Duration = Field(
        timedelta(0), description="How long after the observation the label is known; younger rows wait."
    )
    positive: Scalar | None = Field(
        None, description="Classification: the value that counts as positive; by default the one that sorts last."
    )


class Holdout(Declared):
    """Which rows judge the model, and are never trained on."""

    share: Annotated[float, Field(gt=0, lt=1)] = Field(0.2, description="The share of the rows, 0 to 1.")
    by: Literal["entity", "time", "random"] = Field(
        "random",
        description="entity: by a hash of the entity; random: by a hash of the row; both keep their side in "
        "every version. time: the newest rows.",
    )


class Data(Declared):
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
