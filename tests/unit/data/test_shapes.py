import re

import numpy as np
import pandas as pd
import pytest

from loopwright.data import shapes

MANY = range(shapes.LEAST_ROWS)


def series(*made):
    return pd.Series([one for values in made for one in values], dtype="string")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([f"C{one:05d}" for one in MANY], ("C[0-9]{5,}", "a code")),
        ([f"{one:04d}-{'VHVEG' if one % 2 else 'GNVDE'}" for one in MANY], ("[0-9]{4,}-[A-Z]{5}", "a code")),
        ([f"v1.{one}" for one in MANY], (r"v[0-9]+\.[0-9]+", "a code")),
        ([f"{'NS'[one % 2]}{one}" for one in MANY], ("[A-Z][0-9]+", "a code")),
        ([f"2026-0{1 + one % 9}-1{one % 7}" for one in MANY], (shapes._KNOWN["a date"], "a date")),
        ([f"a.b{one}@example.org" for one in MANY], (shapes._KNOWN["an e-mail address"], "an e-mail address")),
        ([f"{one:08x}-0000-4000-8000-000000000000" for one in MANY], (shapes._KNOWN["a UUID"], "a UUID")),
    ],
)
def test_a_form_that_all_values_have_is_a_pattern_that_they_fit(values, expected):
    assert shapes.pattern(series(values)) == expected
    assert all(re.fullmatch(expected[0], one) for one in values)


@pytest.mark.parametrize(
    "values",
    [
        [f"C{one:05d}" for one in MANY][:-1],
        [f"C{one:05d}" for one in MANY] + ["unknown"],
        ["Berlin", "Paris"] * 100,
        [f"{'a' * (1 + one % 4)}{one}" for one in MANY],
        [f"free text number {one} and more" for one in MANY],
        [f"{one}" for one in MANY],
        ["C00001"] * 200,
        [f"${one}.50" for one in MANY],
        [f"{one}%" for one in MANY],
        [f"\u00c4{one}" for one in MANY],
        [f"a{one}\nB1" for one in MANY],
        [f"u{one}\x07@example.org" for one in MANY],
        [f"2026-13-{one % 28 + 1:02d}" for one in MANY] + [f"\u00e4{one}" for one in MANY],
    ],
)
def test_few_values_words_numbers_and_one_that_is_otherwise_make_no_pattern(values):
    assert shapes.pattern(series(values)) is None


@pytest.mark.parametrize(
    ("seen", "later"),
    [
        ([f"A{one}" for one in range(9500, 9900)], "A10299"),
        ([f"EU-{one:02d}" for one in range(99)] * 3, "US-100"),
        ([f"SKU{one:03d}.{one % 9}" for one in MANY], "TIN1000.12"),
    ],
)
def test_ids_that_count_on_and_other_letters_fit_the_pattern_too(seen, later):
    found = shapes.pattern(series(seen))
    assert found is not None
    assert re.fullmatch(found[0], later)
    assert not re.fullmatch(found[0], f"x{later}")


def columns(**given):
    return {name: pd.Series(values) for name, values in given.items()}


NUMBERS = np.arange(300.0)
DATES = pd.Series(pd.date_range("2026-01-01", periods=300).astype(str))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("start_date", "end_date"),
        ("minTemp", "maxTemp"),
        ("MonthlyCharges", "TotalCharges"),
        ("charges", "total_charges"),
    ],
)
def test_names_that_say_an_order_which_all_rows_keep_make_a_rule(first, second):
    later = columns(**{second: NUMBERS + NUMBERS % 3, first: NUMBERS})
    assert shapes.ordered(later) == [(first, second, 300)]
    dates = {first: DATES, second: DATES.shift(-1)}
    assert shapes.ordered(dates) == [(first, second, 299)]


def test_no_rule_is_made_where_a_row_breaks_it_or_names_say_nothing_or_few_rows_have_both():
    broken = NUMBERS + 1
    broken[17] = 0
    assert shapes.ordered(columns(start=NUMBERS, end=broken)) == []
    assert shapes.ordered(columns(age=NUMBERS, tenure=NUMBERS + 1)) == []
    assert shapes.ordered(columns(start=NUMBERS, end=NUMBERS)) == []
    assert shapes.ordered(columns(start=NUMBERS, end=DATES)) == []
    assert shapes.ordered(columns(start=NUMBERS, end=np.where(NUMBERS < 150, np.nan, NUMBERS + 1))) == []
    # Ranges that lie apart keep any order.
    assert shapes.ordered(columns(min_age=NUMBERS % 2, max_age=NUMBERS + 3)) == []
    # What a row may well have the other way round.
    for one, two in (("from_zone", "to_zone"), ("used", "limit"), ("net", "gross")):
        assert shapes.ordered(columns(**{one: NUMBERS, two: NUMBERS + 1})) == []
    assert shapes.ordered({"valid_from": DATES, "valid_to": DATES.shift(-1)}) == [("valid_from", "valid_to", 299)]
    # A name that an expression cannot have.
    assert shapes.ordered({"from": pd.Series(NUMBERS), "to": pd.Series(NUMBERS + 1)}) == []
