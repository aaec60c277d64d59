"""The declared data: where rows come from, what they must satisfy, and which of them judge."""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from loopwright.durations import Duration
from loopwright.loop import expressions
from loopwright.loop.fields import Declared, Scalar, Share
from loopwright.loop.source import AnySource, refused
from loopwright.loop.spelling import spelled

Policy = Literal["quarantine", "warn", "fail"]
POLICY = (
    "What becomes of rows that break a rule: quarantine sets them aside with the reason, warn keeps them and tells, "
    "fail stops the run. What is about all rows stops the run, or warns."
)


MOST_CLASSES = 50
"""Each pair of a true and a predicted class is a counter of the monitor's."""
LONGEST_CLASS = 40
"""Characters of a name by which the monitor's metrics tell classes apart."""


def _compiled(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r} is no regular expression: {error}") from error


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
    pattern: str | None = Field(
        None, min_length=1, description="A regular expression (Python's) that the whole text of a value fits."
    )
    shift: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="How far the column may be from the last accepted data: a Jensen-Shannon distance, 0 to 1. Beyond "
        "it the data is stopped, or with `policy: warn` it is told.",
    )
    policy: Policy = Field("quarantine", description=POLICY)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if all(one is None for one in (self.type, self.values, self.min, self.max, self.pattern)):
            raise ValueError("a column needs a type, values, or a range")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        if self.pattern is not None:
            _compiled(self.pattern)
            if self.kind != "string":
                raise ValueError(f"a pattern is for text, and the column is {self.kind}")
        if self.kind in ("string", "boolean") and (self.min is not None or self.max is not None):
            raise ValueError(f"a {self.kind} column has no min and max")
        return self

    @property
    def kind(self) -> Literal["integer", "number", "string", "boolean"]:
        """The type, inferred from `values` and the range where it is not given."""
        if self.type is not None:
            return self.type
        if self.values is None and self.pattern is not None:
            return "string"
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


class Rule(Declared):
    """What must hold for every row, over its columns."""

    expression: str = Field(
        description="Such as `ended >= started and discount <= price * 0.5`: columns, constants, + - * / %, "
        "comparisons, and, or, not, in [..], is_missing(column), abs(..). What cannot be told because a value is "
        "missing breaks no rule."
    )
    name: str | None = Field(None, min_length=1, description="What messages call it; by default the expression.")
    policy: Policy = Field("quarantine", description=POLICY)

    @field_validator("expression")
    @classmethod
    def _readable(cls, value: str) -> str:
        expressions.parsed(value)
        return value

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name or self.expression

    @property
    def columns(self) -> set[str]:
        """The columns that it is about."""
        return expressions.names(expressions.parsed(self.expression))


class Rows(Declared):
    """How many rows the data must have."""

    min: int = Field(0, ge=0, description="At least so many.")
    max: int | None = Field(None, ge=1, description="At most so many.")
    policy: Literal["warn", "fail"] = Field("fail", description="Whether the run is stopped, or only told.")


class Freshness(Declared):
    """How old the newest row may be."""

    max_age: Duration = Field(description="Beside `data.label.delay`, which rows wait anyway.")
    policy: Literal["warn", "fail"] = Field("fail", description="Whether the run is stopped, or only told.")


class Label(Declared):
    """What is to be predicted."""

    column: str = Field(description="The column that holds the label.")
    delay: Duration = Field(
        timedelta(0), description="How long after the observation the label is known; younger rows wait."
    )
    positive: Scalar | None = Field(
        None, description="Classification: the value that counts as positive; by default the one that sorts last."
    )
    classes: tuple[Scalar, ...] = Field(
        (),
        max_length=MOST_CLASSES,
        description="Classification into more than two: every class, in the order in which answers and tables have "
        "them. Two need not be named.",
    )

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if not self.classes:
            return self
        if len(self.classes) < 3:
            raise ValueError("classes are named where there are more than two; of two, name the `positive` one")
        if len({str(one)[:LONGEST_CLASS] for one in self.classes}) < len(self.classes):
            raise ValueError(f"two of the classes begin with the same {LONGEST_CLASS} characters")
        if len(set(map(spelled, self.classes))) < len(self.classes):
            raise ValueError("two of the classes are one, as 1 and 1.0 are, or true and True")
        if self.positive is not None:
            raise ValueError("of more than two classes none is the positive one: leave out positive, or classes")
        return self


class Holdout(Declared):
    """Which rows judge the model, and are never trained on."""

    share: Annotated[float, Field(gt=0, lt=1)] = Field(0.2, description="The share of the rows, 0 to 1.")
    by: Literal["entity", "time", "random"] = Field(
        "random",
        description="entity: by a hash of the entity; random: by a hash of the row; both keep their side in "
        "every version. time: the newest rows.",
    )


class Leakage(Declared):
    """What is looked for in the split rows: an input that gives the label, known entities, time travel."""

    power: Annotated[float, Field(gt=0.5, le=1)] = Field(
        0.99,
        description="An input is suspected when by itself it predicts the held-out label so well: area under the ROC "
        "curve, or share of a number's variance.",
    )
    policy: Literal["off", "warn", "fail"] = Field("warn", description="Whether signs are told, or stop the run.")


class Join(Declared):
    """A feature table, of which each row is given the newest values that were known by its time."""

    source: AnySource = Field(description="As `data.source`: files, a database or a function.")
    by: str | None = Field(None, description="The table's column of the entity; by default called as `data.entity`.")
    at: str = Field(description="The table's column that says when a value is of.")
    delay: Duration = Field(timedelta(0), description="How long after that moment the value is there to be read.")
    max_age: Duration | None = Field(None, description="Values older than this at the row's time are not taken.")
    columns: tuple[str, ...] = Field(min_length=1, description="The columns that are taken; the contract has them too.")

    @model_validator(mode="after")
    def _ever_known(self) -> Self:
        if self.max_age is not None and self.max_age < self.delay:
            raise ValueError("max_age is below delay: a value would be too old before it can be read")
        return self


class Data(Declared):
    """Where the rows come from and what they must satisfy."""

    source: AnySource = Field(
        description="CSV or Parquet: a file, a folder of them or a glob, relative to the loop or as a URL "
        "(s3://, gs://, az://, https://); or a mapping, for a database or a function."
    )
    entity: str | None = Field(None, description="The column that names what a row is about.")
    timestamp: str | None = Field(None, description="The column that says when the row was observed.")
    label: Label
    history: Duration | None = Field(None, description="Only rows at most this much older than the newest are used.")
    holdout: Holdout = Holdout()
    set_aside: Share = Field(
        0.05, description="The share of rows that may break the contract; they are set aside, and above it a run fails."
    )
    contract: dict[str, Column] = Field(min_length=1, description="What each column must satisfy.")
    rules: tuple[Rule, ...] = Field((), description="What must hold for every row, over several of its columns.")
    joins: tuple[Join, ...] = Field(
        (), description="Feature tables joined as of each row's time; needs `entity` and `timestamp`."
    )
    leakage: Leakage = Leakage()
    rows: Rows | None = Field(None, description="How many rows the data must have.")
    freshness: Freshness | None = Field(None, description="How old the newest row may be; needs `timestamp`.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if isinstance(self.source, str) and (why := refused(self.source)):
            raise ValueError(why)
        if self.holdout.by == "entity" and self.entity is None:
            raise ValueError("holdout by entity needs `entity`, the column that names what a row is about")
        if self.timestamp is None and self.holdout.by == "time":
            raise ValueError("holdout by time needs `timestamp`, the column that says when a row was observed")
        if self.timestamp is None and self.freshness is not None:
            raise ValueError("freshness needs `timestamp`, the column that says when a row was observed")
        self._joinable()
        known = {*self.contract, self.label.column, self.entity, self.timestamp} - {None}
        for rule in self.rules:
            if unknown := sorted(rule.columns - known):
                raise ValueError(f"rules: {rule.title!r} is about {unknown[0]!r}, which the contract does not have")
        if self.timestamp is None and self.history is not None:
            raise ValueError("history needs `timestamp`, the column that says when a row was observed")
        return self

    def _joinable(self) -> None:
        """Raise ValueError for joins that have nothing to go by, or give one column twice."""
        if self.joins and (self.entity is None or self.timestamp is None):
            raise ValueError("joins need `entity` and `timestamp`: they go by whose row it is, and as of when")
        taken = [name for join in self.joins for name in join.columns]
        if repeated := sorted({name for name in taken if taken.count(name) > 1}):
            raise ValueError(f"joins: the column {repeated[0]} is taken twice")
        for join in self.joins:
            if isinstance(join.source, str) and (why := refused(join.source)):
                raise ValueError(f"joins: {why}")
