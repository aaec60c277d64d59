"""Feature code and the matrix: from raw columns to the numbers an estimator sees.

A loop's feature code is one function, `features(columns)`, a pure function of each row: it is called with 100,000
rows in training and with one in serving, and must give the same values. Categories become codes here; which value
has which code is learnt once, from the training rows, and kept in the bundle.
"""

import difflib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from loopwright.errors import DeclarationError
from loopwright.models.coded import Coded
from loopwright.models.columns import Array, Columns, InputSpec, Kind, length

FeatureCode = Callable[[Columns], Columns]

# Where the code is found in tracebacks and in messages.
FILE = "features.py"


class FeatureSpec(BaseModel):
    """One column that the model sees; for a category its values, whose positions are their codes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Kind
    values: tuple[str, ...] = ()


def load(source: str) -> FeatureCode:
    """The function `features` of a loop's feature code, checked at every call.

    Raises DeclarationError when the code cannot be run or has no such function; the returned function raises it
    when the code fails or returns something else than columns as long as its input.
    """
    namespace: dict[str, Any] = {"__name__": "features", "__file__": FILE}
    try:
        exec(compile(source, FILE, "exec", dont_inherit=True), namespace)  # noqa: S102 - the loop's own code, verified by its digest
    except (Exception, SystemExit) as error:
        raise _failed(error, "cannot be run") from error
    function = namespace.get("features")
    if not callable(function):
        near = difflib.get_close_matches("features", [name for name in namespace if not name.startswith("__")], n=1)
        raise DeclarationError(
            f"{FILE} has no function `features`" + (f" but `{near[0]}`" if near else ""),
            expected="def features(columns): a dictionary of NumPy arrays in, one out",
        )

    def checked(columns: Columns) -> Columns:
        given = {name: _read_only(array) for name, array in columns.items()}
        try:
            result = function(given.copy())
        except (Exception, SystemExit) as error:
            raise _failed(error, "failed") from error
        return _check(result, length(columns), set(map(id, given.values())))

    return checked


def fit_spec(columns: Columns) -> tuple[FeatureSpec, ...]:
    """Learn what the model sees from the training columns: text becomes categories, in sorted order."""
    specs = []
    for name, array in columns.items():
        if array.dtype.kind in "OUS":
            values = sorted({value for value in array.tolist() if value is not None})
            specs.append(FeatureSpec(name=name, kind="category", values=tuple(values)))
        else:
            specs.append(FeatureSpec(name=name, kind="number"))
    return tuple(specs)


class Encoder:
    """Columns to the matrix. Made once from the specification, so that one row costs little."""

    def __init__(self, specs: Sequence[FeatureSpec]) -> None:
        self._plan = [
            (spec.name, {value: float(code) for code, value in enumerate(spec.values)}, spec.kind == "category")
            for spec in specs
        ]

    def __call__(self, columns: Columns, coded: Mapping[str, Coded] | None = None) -> Array:
        """The float64 matrix (rows, features) in C order; a missing or unseen category is NaN.

        A category that is one of `coded`, as it came, is looked up once a value that occurs and not once a row. Raises
        DeclarationError when the feature code gave other columns than in training.
        """
        if len(columns) != len(self._plan) or any(name not in columns for name, _, _ in self._plan):
            raise DeclarationError(
                f"the feature code returned the columns {', '.join(columns)}",
                expected=f"those of the training: {', '.join(name for name, _, _ in self._plan)}",
            )
        matrix = np.empty((length(columns), len(self._plan)), dtype=np.float64)
        for at, (name, codes, category) in enumerate(self._plan):
            array = columns[name]
            if category != (array.dtype.kind in "OUS"):
                raise DeclarationError(
                    f'feature "{name}" is {"a number" if category else "text"}',
                    expected=f"{'text' if category else 'a number'}, as in training",
                )
            if not category:
                matrix[:, at] = array
            elif coded and name in coded and coded[name].holds(array):
                known = np.array(
                    [np.nan if value is None else codes.get(value, np.nan) for value in coded[name].values],
                    dtype=np.float64,
                )
                matrix[:, at] = known[coded[name].places]
            else:
                matrix[:, at] = [codes.get(value, np.nan) for value in array.tolist()]
        return matrix


class RowEncoder:
    """One row's values to the row of the matrix, where the model sees the inputs as they are."""

    def __init__(self, specs: Sequence[FeatureSpec], inputs: Sequence[InputSpec]) -> None:
        at = {spec.name: index for index, spec in enumerate(inputs)}
        self._plan = [
            (at[spec.name], {value: float(code) for code, value in enumerate(spec.values)})
            if spec.kind == "category"
            else (at[spec.name], None)
            for spec in specs
        ]

    def __call__(self, values: Sequence[Any]) -> list[float]:
        """The row as `Encoder` makes it; a missing or unseen category is NaN."""
        return [values[at] if codes is None else codes.get(values[at], math.nan) for at, codes in self._plan]


def encode(specs: Sequence[FeatureSpec], columns: Columns) -> Array:
    """The float64 matrix (rows, features) of the columns; see `Encoder`."""
    return Encoder(specs)(columns)


def _read_only(array: Array) -> Array:
    # Feature code that wrote into its input would change what the monitor and the profile see.
    view = array.view()
    view.flags.writeable = False
    return view


def _check(result: Any, rows: int, given: Collection[int]) -> Columns:
    """The columns that feature code returned; those `given`, by their ids, were checked when they were read."""
    if not isinstance(result, dict) or not result:
        raise DeclarationError(f"{FILE} returned {type(result).__name__}", expected="a dictionary of NumPy arrays")
    checked = {}
    for name, array in result.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.shape != (rows,):
            found = f"shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise DeclarationError(
                f'{FILE} returned {found} for "{name}"', expected=f"a NumPy array of shape ({rows},), one value a row"
            )
        if array.dtype.kind not in "fiubOUS":
            raise DeclarationError(f'{FILE} returned {array.dtype} for "{name}"', expected="numbers or text")
        if array.dtype.kind == "O" and id(array) not in given:
            _check_text(name, array)
        checked[name] = array
    return checked


def _check_text(name: str, array: Array) -> None:
    for value in array.tolist():
        if value is not None and not isinstance(value, str):
            raise DeclarationError(
                f'{FILE} returned {type(value).__name__} in the text column "{name}"',
                expected="str, or None for a missing value; numbers belong in a float64 array",
            )


def _failed(error: BaseException, what: str) -> DeclarationError:
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    if line is None and isinstance(error, SyntaxError):
        line = error.lineno
    where = f"{FILE}, line {line}," if line else FILE
    return DeclarationError(
        f"{where} {what}: {type(error).__name__}: {error}", do="correct the feature code and run it again"
    )
