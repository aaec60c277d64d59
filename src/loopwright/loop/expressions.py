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
    listed = {id(one.comparators[0]) for one in ast.walk(tree) if isinstance(one, ast.Compare) and _is_in(one)}
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ValueError(f"{text!r} has {_shown(node)}; there are comparisons, arithmetic, and, or, not, in")
        if isinstance(node, ast.Call):
            named = node.func.id if isinstance(node.func, ast.Name) else ""
            if named not in FUNCTIONS or len(node.args) != 1 or node.keywords:
                raise ValueError(f"{text!r} calls {_shown(node)}; there are {', '.join(FUNCTIONS)}, of one value")
            if named == "is_missing" and not names(node.args[0]):
                raise ValueError(f"{text!r} has {_shown(node)}; is_missing is about a column")
        if isinstance(node, ast.Compare):
            _check_comparison(text, node)
        if isinstance(node, (ast.List, ast.Tuple)) and id(node) not in listed:
            raise ValueError(f"{text!r} has {_shown(node)}; a list is for the right of `in`")
        if isinstance(node, ast.BoolOp) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            for one in node.values if isinstance(node, ast.BoolOp) else [node.operand]:
                if not _is_truth(one):
                    raise ValueError(f"{text!r} has {_shown(one)}, which is neither true nor false")
        if isinstance(node, (ast.List, ast.Tuple)) and not all(map(_is_constant, node.elts)):
            raise ValueError(f"{text!r} has a list of something else than constants")
        if isinstance(node, ast.Constant) and not isinstance(node.value, (bool, int, float, str)):
            raise ValueError(f"{text!r} has {_shown(node)}; for what is missing there is is_missing(column)")
    if not _is_truth(tree.body) or isinstance(tree.body, ast.Constant):
        raise ValueError(f"{text!r} is neither true nor false")
    return tree.body


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node.operand if isinstance(node, ast.UnaryOp) else node, ast.Constant)


def _is_in(node: ast.Compare) -> bool:
    return any(isinstance(op, (ast.In, ast.NotIn)) for op in node.ops)


def _check_comparison(text: str, node: ast.Compare) -> None:
    if not _is_in(node):
        return
    if len(node.ops) > 1 or not isinstance(node.comparators[0], (ast.List, ast.Tuple)) or not names(node.left):
        raise ValueError(f"{text!r} has {_shown(node)}; `in` has a column on its left and a list on its right")


def _is_truth(node: ast.expr) -> bool:
    """Whether it is true or false by what it is; a column may be."""
    match node:
        case ast.Compare() | ast.BoolOp() | ast.Name() | ast.UnaryOp(op=ast.Not()) | ast.Constant(value=bool()):
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name == "is_missing"
    return False


def names(tree: ast.expr) -> set[str]:
    """The columns that an expression is about."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}


def _shown(node: ast.AST) -> str:
    return f"`{ast.unparse(node)}`" if isinstance(node, ast.expr) else type(node).__name__
