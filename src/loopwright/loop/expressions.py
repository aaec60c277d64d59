"""Rules over the columns of one row, as text: `ended >= started and discount <= price * 0.5`.

The grammar is a small part of Python's: names of columns, constants, `+ - * / %`, comparisons, `and or not`, `in [..]`,
`is_missing(column)` and `abs(..)`. Here the text is read and refused; `data.expressions` says what it means for rows.
"""

import ast

FUNCTIONS = ("is_missing", "abs")
_ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.BinOp, ast.Add, ast.Sub,
    ast.Mult, ast.Div, ast.Mod, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn,
    ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple, ast.Call,
)  # fmt: skip


def parsed(text: str) -> ast.expr:
    """The expression's tree. Raises ValueError saying what is wrong and where."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = getattr(error, "offset", None)
        where = f" at character {at}" if at else ""
        raise ValueError(f"{text!r} is no expression: {getattr(error, 'msg', error)}{where}") from error
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ValueError(f"{text!r} has {_shown(node)}; there are comparisons, arithmetic, and, or, not, in")
        if isinstance(node, ast.Call):
            named = node.func.id if isinstance(node.func, ast.Name) else ""
            if named not in FUNCTIONS or len(node.args) != 1 or node.keywords:
                raise ValueError(f"{text!r} calls {_shown(node)}; there are {', '.join(FUNCTIONS)}, of one value")
        if isinstance(node, (ast.List, ast.Tuple)) and not all(isinstance(one, ast.Constant) for one in node.elts):
            raise ValueError(f"{text!r} has a list of something else than constants")
        if isinstance(node, ast.Constant) and not isinstance(node.value, (bool, int, float, str)):
            raise ValueError(f"{text!r} has {_shown(node)}; for what is missing there is is_missing(column)")
    if not isinstance(tree.body, (ast.Compare, ast.BoolOp, ast.Call, ast.UnaryOp, ast.Name)):
        raise ValueError(f"{text!r} is neither true nor false")
    return tree.body


def names(tree: ast.expr) -> set[str]:
    """The columns that an expression is about."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}


def _shown(node: ast.AST) -> str:
    return f"`{ast.unparse(node)}`" if isinstance(node, ast.expr) else type(node).__name__
