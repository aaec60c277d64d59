"""What an expression of the contract says of each row of a frame.

As in SQL's CHECK, what cannot be told because a value is missing breaks no rule: a row is broken where the expression
is false, not where it is unknown. Who wants the value to be there says so by the column's `missing`.
"""

import ast
import operator
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any

from loopwright.errors import DeclarationError
from loopwright.loop.expressions import names, parsed

if TYPE_CHECKING:
    import pandas as pd

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Mod: operator.mod, ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


def broken(text: str, frame: "pd.DataFrame") -> "pd.Series[bool]":
    """Where a frame's rows make the expression false.

    Raises DeclarationError when it compares what cannot be compared, such as text with a number.
    """
    import pandas as pd

    tree = parsed(text)
    # Text and numbers of pandas' own kinds know what is missing, and so does what is made of them.
    columns = {name: frame[name].convert_dtypes(convert_integer=False) for name in sorted(names(tree))}
    columns = {
        name: column.astype("Float64") if column.dtype.kind in "iuf" else column for name, column in columns.items()
    }
    try:
        found = _value(tree, columns)
        if isinstance(found, pd.Series):
            return ~found.astype("boolean").fillna(True).astype(bool)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        kinds = ", ".join(
            f"{name} is {'text' if one.dtype == 'string' else 'no text'}" for name, one in columns.items()
        )
        raise DeclarationError(
            f"the rule {text!r} cannot be held against the data: {error} ({kinds})",
            expected="numbers compared with numbers and text with text",
            do="correct `data.rules`",
        ) from error
    return pd.Series(not bool(found), index=frame.index)


def _value(node: ast.expr, columns: dict[str, "pd.Series[Any]"]) -> Any:
    match node:
        case ast.Name(id=name):
            return columns[name]
        case ast.Constant(value=value):
            return value
        case ast.BoolOp(op=op, values=values):
            parts = [_truth(_value(one, columns)) for one in values]
            return reduce(operator.and_ if isinstance(op, ast.And) else operator.or_, parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            found = _truth(_value(operand, columns))
            return not found if isinstance(found, bool) else ~found
        case ast.UnaryOp(op=op, operand=operand):
            value = _value(operand, columns)
            return -value if isinstance(op, ast.USub) and not _unknown(value) else value
        case ast.BinOp(left=left, op=op, right=right):
            return _applied(op, _value(left, columns), _value(right, columns))
        case ast.Call(func=ast.Name(id="abs"), args=[one]):
            value = _value(one, columns)
            return value if _unknown(value) else abs(value)
        case ast.Call(args=[one]):
            return _value(one, columns).isna().astype("boolean")
        case ast.Compare(left=left, ops=ops, comparators=rights):
            sides = [left, *rights]
            parts = [_compared(a, op, b, columns) for a, op, b in zip(sides, ops, rights, strict=False)]
            return reduce(operator.and_, parts)
    raise AssertionError(f"{ast.dump(node)} was let through by the declaration")


def _compared(left: ast.expr, op: ast.cmpop, right: ast.expr, columns: dict[str, "pd.Series[Any]"]) -> Any:
    if not isinstance(op, (ast.In, ast.NotIn)):
        return _applied(op, _value(left, columns), _value(right, columns))
    assert isinstance(right, (ast.List, ast.Tuple))
    value, listed = _value(left, columns), [_value(one, columns) for one in right.elts]
    found = value.isin(listed).astype("boolean").mask(value.isna())
    return found if isinstance(op, ast.In) else ~found


def _applied(op: ast.AST, left: Any, right: Any) -> Any:
    unknown = next((value for value in (left, right) if _unknown(value)), None)
    if unknown is None:
        return _BINARY[type(op)](left, right)
    return unknown.astype("boolean") if isinstance(op, ast.cmpop) else unknown


def _unknown(value: Any) -> bool:
    """Whether it is a column without any value, of which pandas does not know whether it is one of text."""
    return str(getattr(value, "dtype", "")) == "object" and bool(value.isna().all())


def _truth(value: Any) -> Any:
    return value if isinstance(value, bool) else value.astype("boolean")
