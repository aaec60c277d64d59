"""The declaration: one `loop.yaml` a model project, read into frozen objects.

A loop is a folder with a `loop.yaml`. Everything else asks these objects, never the file. What is wrong in the
file is reported with its line, what was found, what was expected and, for a misspelt key, which one was meant.
"""

import difflib
import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from loopwright.durations import Budget, Duration, FalseAlarmBudget
from loopwright.errors import DeclarationError

FILE = "loop.yaml"

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
    delay: Duration = Field(timedelta(0), description="How long after the observation the label is known.")
    positive: Scalar | None = Field(
        None, description="Classification: the value that counts as positive; by default the one that sorts last."
    )


class Holdout(_Declared):
    """Which rows judge the model, and are never trained on."""

    share: Annotated[float, Field(gt=0, lt=1)] = Field(0.2, description="The share of the rows, 0 to 1.")
    by: Literal["entity", "time", "random"] = Field(
        "random",
        description="entity: by a hash of the entity, the same for every version; time: the newest rows; "
        "random: by the seed.",
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
        0.05, description="The chance that an equally good challenger is rolled back, over all steps and looks."
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


class _Loader(yaml.SafeLoader):
    """YAML 1.2's reading of plain words: `on`, `yes` and `No` are text, and so is a date. A key twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node, in which no key occurs twice: YAML would silently take the last one."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def find(folder: str | Path | None) -> Path:
    """The loop's folder: the one named, or the current one. Raises DeclarationError when it has no loop.yaml."""
    path = Path(folder) if folder else Path.cwd()
    if path.name == FILE and path.is_file():
        path = path.parent
    if not (path / FILE).is_file():
        what = f"no {FILE} in {path}" if path.is_dir() else f"there is no folder {path}"
        raise DeclarationError(
            what,
            expected="a loop: a folder with a loop.yaml",
            do=f"make one with `loopwright init {folder or 'NAME'} --data FILE --label COLUMN`, or name another folder",
        )
    return path.resolve()


def load(folder: str | Path) -> Loop:
    """Read `folder/loop.yaml`. Raises DeclarationError naming the line and what to do."""
    path = Path(folder) / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{path} cannot be read: {error}", do="check the file and its permissions") from error
    return parse(text, str(path))


def parse(text: str, name: str = FILE) -> Loop:
    """Read a declaration from text; `name` is what messages call it."""
    try:
        tree = yaml.compose(text, Loader=_Loader)
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that resolves less
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise DeclarationError(f"{name}{line}: not YAML: {problem}", do="check indentation and quotes there") from error
    if not isinstance(values, dict):
        raise DeclarationError(
            f"{name}: found {'nothing' if values is None else type(values).__name__}",
            expected="a mapping with apiVersion, kind, metadata, data and model",
            do="`loopwright init` writes one from a data file",
        )
    try:
        return Loop.model_validate(values)
    except ValidationError as error:
        lines = [_explain(name, tree, item) for item in error.errors()]
        raise DeclarationError("\n".join(dict.fromkeys(lines)), do="correct it and run the command again") from error


def _explain(name: str, tree: yaml.Node | None, error: Any) -> str:
    """One line for one pydantic error: file, line, key, what was found and what was expected."""
    location = tuple(part for part in error["loc"] if not _is_branch(part))
    if not location and (named := re.match(r"Value error, (\w+): ", error["msg"])):
        # A check over several parts names the one to look at first.
        location = (named[1],)
    line, found = _locate(tree, location)
    path = ".".join(str(part) for part in location) or "the declaration"
    where = f"{name}:{line}: {path}"
    match error["type"]:
        case "extra_forbidden":
            allowed = _keys(location[:-1])
            close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(allowed)}"
            return f"{where}: unknown key `{location[-1]}`; {hint}"
        case "missing":
            return f"{where}: missing; expected the key `{location[-1]}`"
        case _:
            expected = re.sub(r"^(Value error, |Input should be )", "", error["msg"])
            expected = re.sub(rf"^{location[0]}: ", "", expected) if len(location) == 1 else expected
            if error["type"] == "string_pattern_mismatch":
                expected = f"text that matches {error['ctx']['pattern']}"
            got = f"found {found!r}; " if found is not None else ""
            return f"{where}: {got}{'' if error['type'] == 'value_error' else 'expected '}{expected}"


def _is_branch(part: object) -> bool:
    """Whether pydantic put the name of a union's branch into the location: no key of ours looks like that."""
    return isinstance(part, str) and (part in ("bool", "int", "float", "str") or "[" in part)


def _locate(node: yaml.Node | None, location: tuple[int | str, ...]) -> tuple[int, str | None]:
    """The line (from 1) of the key at `location`, or of the nearest key above, and its scalar value."""
    line = 1 if node is None else node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
            else:
                return line, None
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line, None
    return line, node.value if isinstance(node, yaml.ScalarNode) else None


def _keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand at `location`, in their order."""
    model: Any = Loop
    for part in location:
        fields = getattr(model, "model_fields", {})
        annotation = fields[part].annotation if part in fields else model
        model = next((kind for kind in _models(annotation)), model)
    return list(getattr(model, "model_fields", {}))


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The declared models inside an annotation such as `Analysis | None` or `dict[str, Column]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models(inner)]


def schema() -> dict[str, Any]:
    """The JSON schema of loop.yaml, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Loop.model_json_schema()}
