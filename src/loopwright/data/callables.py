"""Rows from a function of the team's own, where no file or query has them."""

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.data import tables
from loopwright.errors import DataError, LoopwrightError
from loopwright.settings import redacted

if TYPE_CHECKING:
    import pyarrow as pa


def batches(name: str, root: Path, columns: Sequence[str] | None = None) -> Iterator["pa.Table"]:
    """What `module:function` gives, as plain tables. The module is a file in `root`, or one that is installed.

    Raises DataError when it is not there, fails, or gives something else than rows.
    """
    function = _function(name, root)
    try:
        given = function()
        for part in [given] if _is_rows(given) else _iterable(given, name):
            if not _is_rows(part):
                raise _odd(name, part)
            table = tables.plain(_table(part))
            yield table.select(list(columns)) if columns else table
    except LoopwrightError:
        raise
    except Exception as error:
        raise DataError(
            f"the source {name} failed: {type(error).__name__}: {redacted(str(error))[:300]}", do="correct the function"
        ) from error


def _function(name: str, root: Path) -> Any:
    module, _, function = name.partition(":")
    file = root.joinpath(*module.split(".")).with_suffix(".py")
    try:
        if file.is_file():
            spec = importlib.util.spec_from_file_location(module, file)
            assert spec is not None
            assert spec.loader is not None
            loaded = importlib.util.module_from_spec(spec)
            # What the module imports of its neighbours is found while it is loaded.
            sys.path.insert(0, str(root))
            before = sys.modules.get(module)
            # A dataclass looks for the module that it is defined in.
            sys.modules[module] = loaded
            try:
                spec.loader.exec_module(loaded)
            finally:
                sys.path.remove(str(root))
                sys.modules.pop(module, None)
                if before is not None:
                    sys.modules[module] = before
        else:
            loaded = importlib.import_module(module)
        return getattr(loaded, function)
    except Exception as error:
        raise DataError(
            f"the source {name} cannot be loaded: {type(error).__name__}: {redacted(str(error))[:300]}",
            expected=f"a function {function} in {file}, or in an installed module {module}",
            do="correct `data.source.python`, or the module",
        ) from error


def _is_rows(given: Any) -> bool:
    import pandas as pd
    import pyarrow as pa

    return isinstance(given, (pd.DataFrame, pa.Table, pa.RecordBatch))


def _table(part: Any) -> "pa.Table":
    import pandas as pd
    import pyarrow as pa

    if isinstance(part, pd.DataFrame):
        return pa.Table.from_pandas(part.rename(columns=str), preserve_index=False)
    return pa.Table.from_batches([part]) if isinstance(part, pa.RecordBatch) else part


def _iterable(given: Any, name: str) -> Iterable[Any]:
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes, dict)):
        return given
    raise _odd(name, given)


def _odd(name: str, given: Any) -> DataError:
    return DataError(
        f"the source {name} gave {type(given).__name__}",
        expected="a DataFrame, an Arrow table, or an iterable of them",
        do="correct the function",
    )
