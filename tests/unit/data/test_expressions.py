import pandas as pd
import pytest

from loopwright.data import expressions
from loopwright.errors import DeclarationError
from loopwright.loop.expressions import names, parsed

FRAME = pd.DataFrame(
    {
        "price": [10.0, 20.0, None],
        "discount": [5.0, 15.0, 1.0],
        "plan": ["basic", "premium", None],
        "start": ["2026-01-01", "2026-02-01", "2026-03-01"],
        "end": ["2026-01-02", "2026-01-01", None],
    }
)


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("discount <= price * 0.5", [False, True, False]),
        ("start <= end", [False, True, False]),
        ("plan in ['basic', 'free']", [False, True, False]),
        ("plan not in ['basic']", [True, False, False]),
        ("plan == 'basic' or price > 15", [False, False, False]),
        ("not plan == 'basic'", [True, False, False]),
        ("is_missing(price) or price < 15", [False, True, False]),
        ("not is_missing(plan)", [False, False, True]),
        ("0 < price < 15", [False, True, False]),
        ("abs(-price) + 1 == 11 and discount % 2 == 1", [False, True, False]),
        ("plan != 'basic' and price > 100", [True, True, False]),
        ("1 > 2", [True, True, True]),
    ],
)
def test_a_row_is_broken_where_the_expression_is_false_and_not_where_it_cannot_be_told(
    text: str, broken: list[bool]
) -> None:
    assert expressions.broken(text, FRAME).tolist() == broken


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("price <", "is no expression: invalid syntax"),
        ("price = 3", "is no expression"),
        ("__import__('os').system('x')", "calls|has `__import__"),
        ("price.sum() > 1", "calls `price.sum"),
        ("len(plan) > 1", "calls `len"),
        ("[x for x in y]", "has `\\[x for x in y\\]`"),
        ("price", None),
        ("price + 1", "is neither true nor false"),
        ("plan in [price]", "list of something else"),
        ("plan == None", "is_missing"),
        ("price ** 9 > 1", "has Pow"),
        ("1 and price > 0", "has `1`, which is neither true nor false"),
        ("not price + 1", "neither true nor false"),
        ("-price", "is neither true nor false"),
        ("is_missing(1)", "is_missing is about a column"),
        ("1 in [1, 2]", "a column on its left"),
        ("price in 5", "a list on its right"),
        ("plan in 'ab'", "a list on its right"),
        ("plan in start", "a list on its right"),
        ("price == [1, 2]", "a list is for the right of `in`"),
        ("0 < price in [1, 2]", "a column on its left and a list on its right"),
    ],
)
def test_what_is_no_expression_is_refused_before_any_row_is_read(text: str, message: str | None) -> None:
    if message is None:
        assert names(parsed(text)) == {text}
        return
    with pytest.raises(ValueError, match=message):
        parsed(text)


def test_text_is_not_compared_with_numbers() -> None:
    with pytest.raises(DeclarationError, match=r"the rule 'plan > 3' cannot be held.*plan is text"):
        expressions.broken("plan > 3", FRAME)


def test_the_columns_of_an_expression_are_known() -> None:
    assert names(parsed("abs(a) > 1 and is_missing(b) or c in ['d']")) == {"a", "b", "c"}


@pytest.mark.parametrize(
    "text",
    ["plan == 'x'", "price * 2 > 1", "abs(-price) <= discount", "plan in ['x']", "not plan < 'a'", "0 < price < 3"],
)
def test_a_column_that_is_missing_in_all_rows_breaks_no_rule(text: str) -> None:
    frame = FRAME.assign(plan=None, price=None)
    assert frame["plan"].dtype == object
    assert not expressions.broken(text, frame).any()
    assert not expressions.broken("is_missing(plan)", frame).any()
    assert expressions.broken("not is_missing(plan)", frame).all()


def test_a_column_of_text_is_neither_true_nor_false() -> None:
    with pytest.raises(DeclarationError, match="the rule 'plan' cannot be held against the data"):
        expressions.broken("plan", FRAME)


def test_a_list_may_hold_numbers_below_zero() -> None:
    assert expressions.broken("discount in [-1, 5.0, 1]", FRAME).tolist() == [False, True, False]
