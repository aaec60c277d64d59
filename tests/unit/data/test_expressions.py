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
