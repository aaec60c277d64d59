"""A first loop.yaml from a data file: types, ranges, sets, entity, time and label, each with what was seen beside it.

What is inferred is meant to be kept: ranges are wider than what was seen, as next month's data will be, and sets are
what was seen, as a new value is news.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loopwright.data import shapes, snapshots
from loopwright.data.typed import blank
from loopwright.errors import DataError
from loopwright.loop.spelling import spelled

if TYPE_CHECKING:
    import pandas as pd

# A text column with more distinct values than this is not a set that one lists.
MOST_VALUES = 25
# A text column with more distinct values than this share of its rows names its rows, and cannot be learnt from.
NAMING = 0.5
# What is guessed of a form or an order stops nobody's rows: the run says which break it, and a person decides.
TOLD = ", policy: warn"
# A label with more distinct numbers than this is taken for a quantity.
MOST_CLASSES = 2
# Last words of a column's name that names rows. Those of the first three name one row each, where rows have no time.
_KEYS = {"id", "key", "uuid"}
_ENTITIES = _KEYS | {"instant", "index"}
# Yes and No stay text: a client sends its own rows, and JSON has true and false for a boolean.
_TRUTH = {"true", "false"}


@dataclass(frozen=True)
class Inferred:
    """One column: its rule as YAML, and what was seen as a comment. A rule of None is no input."""

    name: str
    rule: str | None
    seen: str


@dataclass(frozen=True)
class Inference:
    """What a data file says of itself."""

    columns: tuple[Inferred, ...]
    entity: str | None
    timestamp: str | None
    task: str
    rows: int
    classes: tuple[str, ...] = ()
    """The label's values, where a classification has more than two; of whole numbers those that may be classes."""
    naming: Inferred | None = None
    """What all values of the entity's column satisfy, where that is more than being there."""
    rules: tuple[tuple[str, str, str], ...] = ()
    """Rules over two columns: name, expression, what was seen."""


def infer(frame: "pd.DataFrame", label: str) -> Inference:
    """Infer the declaration of a data frame. Raises DataError when the label is not there or cannot be learnt."""
    if label not in frame.columns:
        raise DataError(
            f"the data has no column {label!r}",
            expected=f"one of {', '.join(map(str, frame.columns[:20]))}",
            do="name the label with --label",
        )
    text = {str(name): frame[name].astype("string").str.strip() for name in frame.columns}
    present = {name: values[~blank(frame[name])] for name, values in text.items()}
    if present[label].nunique() < 2:
        raise DataError(
            f"the label {label} has {present[label].nunique()} value(s)",
            expected="two classes, or a number",
            do="check it",
        )
    timestamp = next((name for name, values in present.items() if name != label and _is_time(values)), None)
    entities = [one for one, values in present.items() if one not in (label, timestamp) and _is_entity(one, values)]
    entity = next(filter(_ends_in(_ENTITIES), entities), next(iter(entities), None))
    columns = [_column(name, present[name], len(frame)) for name in text if name not in (label, timestamp, entity)]
    used = {one.name: present[one.name] for one in columns if one.rule is not None}
    numeric = _numbers(present[label]) is not None
    if not numeric and present[label].nunique() > MOST_VALUES:
        raise DataError(
            f"the label {label} has {present[label].nunique():,} classes "
            f"({', '.join(sorted(present[label].unique())[:5])}, ...)",
            expected=f"at most {MOST_VALUES} classes, or a number",
            do="name another label, or join rare classes into one",
        )
    return Inference(
        tuple(columns),
        entity,
        timestamp,
        "regression" if numeric and present[label].nunique() > MOST_CLASSES else "classification",
        len(frame),
        _classes(present[label]),
        None if entity is None else _naming(entity, present[entity], len(frame), once=timestamp is None),
        tuple(_rules(used)),
    )


def _naming(name: str, values: "pd.Series[Any]", rows: int, *, once: bool) -> Inferred | None:
    """What the column that names rows satisfies; `once` says that a row is all that there is of what it names."""
    numeric = _numbers(values) is not None
    shape = None if numeric else shapes.pattern(values)
    once = once and (numeric or shape is not None) and _ends_in(_KEYS)(name)
    once = once and len(values) == rows >= shapes.LEAST_ROWS and not values.duplicated().any()
    if shape is None and not once:
        return None
    rule = "type: integer" if shape is None else f"pattern: {quoted(shape[0])}"
    seen = [*([] if shape is None else [f"all are {shape[1]}"]), *(["each once"] if once else [])]
    missing = _accepted(rows - len(values), rows)
    return Inferred(
        name, f"{{{rule}{', unique: true' if once else ''}{missing}{TOLD}}}", f"not an input; {', '.join(seen)}"
    )


def _rules(used: "dict[str, pd.Series[Any]]") -> list[tuple[str, str, str]]:
    """Rules over pairs of columns that the contract has: numbers, and dates that sort as text."""
    comparable = {}
    for name, values in used.items():
        numbers = _numbers(values)
        if numbers is not None:
            comparable[name] = numbers
        elif (shape := shapes.pattern(values)) is not None and shape[1] == "a date":
            comparable[name] = values
    index = None
    for values in used.values():
        index = values.index if index is None else index.union(values.index)
    aligned = {name: values.reindex(index) for name, values in comparable.items()}
    return [
        (f"{first} to {second}", f"{first} <= {second}", f"in all {rows:,} rows that have both")
        for first, second, rows in shapes.ordered(aligned)
    ]


def _accepted(missing: int, rows: int) -> str:
    """Twice what was seen, at least 1 %, so that an ordinary month does not stop the loop."""
    return f", missing: {math.ceil(max(2 * missing / rows, 0.01) * 100) / 100:g}" if 0 < missing < rows else ""


def _classes(label: "pd.Series[Any]") -> tuple[str, ...]:
    """More than two values that may be classes: texts, or few whole numbers."""
    numbers = _numbers(label)
    # One for each spelling: 1.0 and 1 are one class, and a client that says 1 means it.
    distinct = {spelled(one): one for one in sorted(label.unique().tolist(), reverse=True)}
    if not MOST_CLASSES < len(distinct) <= MOST_VALUES or (numbers is not None and (numbers % 1 != 0).any()):
        return ()
    return tuple(sorted(distinct.values()) if numbers is None else sorted(distinct, key=float))


def _column(name: str, values: "pd.Series[Any]", rows: int) -> Inferred:
    missing = rows - len(values)
    seen_missing = f", {missing:,} of {rows:,} blank" if missing else ""
    accepted = _accepted(missing, rows)
    if values.empty:
        return Inferred(name, None, "it is empty")
    if values.nunique() == 1:
        return Inferred(name, None, f"it is always {values.iloc[0]!r}")
    numbers = _numbers(values)
    if numbers is not None:
        low, high = float(numbers.min()), float(numbers.max())
        kind = "integer" if bool((numbers % 1 == 0).all()) else "number"
        few = kind == "integer" and values.nunique() <= MOST_VALUES
        least, most = (low, high) if few else _wider(low, high)
        return Inferred(
            name,
            f"{{type: {kind}, min: {least:g}, max: {most:g}{accepted}}}",
            f"seen: {low:g} to {high:g}{seen_missing}",
        )
    distinct = sorted(values.unique().tolist())
    if {value.lower() for value in distinct} == _TRUTH:
        return Inferred(name, f"{{type: boolean{accepted}}}", f"seen: {', '.join(distinct)}{seen_missing}")
    if len(distinct) <= MOST_VALUES:
        listed = ", ".join(plain(value) for value in distinct)
        return Inferred(name, f"{{values: [{listed}]{accepted}}}", f"{len(distinct)} values{seen_missing}")
    shape = shapes.pattern(values)
    if len(distinct) > NAMING * len(values):
        # It cannot be learnt from; who wants it checked declares it, and keeps it from the model.
        check = (
            "" if shape is None else f"; all are {shape[1]}: {{pattern: {quoted(shape[0])}}} and model.exclude check it"
        )
        return Inferred(name, None, f"{len(distinct):,} different texts in {len(values):,} rows{check}")
    if shape is None:
        return Inferred(name, f"{{type: string{accepted}}}", f"{len(distinct):,} different texts{seen_missing}")
    rule = f"{{pattern: {quoted(shape[0])}{accepted}{TOLD}}}"
    return Inferred(name, rule, f"{shape[1]}: {len(distinct):,} different ones{seen_missing}")


def _numbers(values: "pd.Series[Any]") -> "pd.Series[Any] | None":
    """The values as numbers, or None when one of them is not."""
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    return None if numbers.empty or numbers.isna().any() or not (abs(numbers) < float("inf")).all() else numbers


def _wider(low: float, high: float) -> tuple[float, float]:
    """A range that next month's data fits too: half as wide again, and no negative numbers where none were seen."""
    if (low, high) in ((0, 1),) or (low >= 0 and high <= 1):
        return math.floor(low), math.ceil(high)
    margin = (high - low) / 2
    least = 0.0 if low >= 0 else low - margin
    size = 10.0 ** math.floor(math.log10(max(abs(high + margin), 1)))
    most = math.ceil((high + margin) / (size / 10)) * (size / 10)
    return (least if least == 0 else math.floor(least / (size / 10)) * (size / 10)), most


def _is_time(values: "pd.Series[Any]") -> bool:
    """Whether text reads as dates: it has separators of one, and every value can be read."""
    sample = values.head(200)
    if sample.empty or not sample.str.contains(r"\d[-/:.]\d", regex=True).all() or _numbers(sample) is not None:
        return False
    return bool(snapshots.times(values.to_frame("time"), "time").notna().all())


def _is_entity(name: str, values: "pd.Series[Any]") -> bool:
    """Whether a column names what rows are about: by its name, or because no text occurs twice."""
    numbers = _numbers(values)
    if numbers is not None and not (numbers % 1 == 0).all():
        return False
    unique = not values.duplicated().any()
    if _ends_in(_ENTITIES)(name):
        return unique or values.nunique() > MOST_VALUES
    return unique and numbers is None


def _ends_in(last: set[str]) -> Callable[[str], bool]:
    """Whether a name's last word is one of these: `customerID` ends in `id`, `paid` does not."""
    return lambda name: bool(last.intersection(shapes.words(name)[-1:]))


def plain(value: str) -> str:
    """A text as YAML needs it: plain where that reads back as the same text, else quoted."""
    import yaml

    plain = re.fullmatch(r"[A-Za-z_./][\w ./()&+-]*", value) and not value.endswith(" ")
    if plain and yaml.safe_load(f"[{value}]") == [value]:
        return value
    # Between double quotes on one line, with line breaks and control characters as escapes.
    return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=math.inf).rstrip("\n")


def quoted(text: str) -> str:
    """A text as YAML has it between single quotes, where a backslash is a backslash, or as `plain` if need be."""
    return "'" + text.replace("'", "''") + "'" if text.isprintable() else plain(text)
