"""What holds for every row that was seen and is worth keeping: the form of a text, and which column is the larger.

Both are guesses that a person reads in loop.yaml, so they are made of few rows never, only where all rows agree, and
no narrower than their meaning: ids count on beyond the digits that were seen, and a code's letters may be others.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import permutations
from keyword import iskeyword
from string import ascii_lowercase, ascii_uppercase, digits
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

LEAST_ROWS = 200
"""Fewer values that agree say little: a share of 1.5 % that does not would be missed in them one time in twenty."""
_KNOWN = {
    "a UUID": r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "a date": r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
    "an e-mail address": r"[^@\s]+@[^@\s]+\.[^@\s]+",
}
_RUN = re.compile(r"[0-9]+|[A-Z]+|[a-z]+|[^0-9A-Za-z]")
_SIGNS = "-_/.: "
"""What stands between the parts of a code. Other signs are of amounts, shares or free text."""
_MOST_RUNS = 8
_PAIRS = (
    ("start", "end"), ("started", "ended"), ("begin", "end"), ("began", "ended"), ("since", "until"),
    ("opened", "closed"), ("open", "close"), ("ordered", "shipped"), ("shipped", "delivered"), ("ordered", "delivered"),
    ("created", "updated"), ("created", "closed"), ("first", "last"), ("min", "max"), ("minimum", "maximum"),
    ("low", "high"), ("lower", "upper"), ("least", "most"), ("monthly", "total"), ("daily", "total"), ("sub", "total"),
    ("part", "total"),
)  # fmt: skip
"""Words of two names that are otherwise the same, of which the first is of what comes first or is the smaller.

None where a row may well have it the other way: refunds turn net and gross round, and what is used exceeds a limit.
"""
_FROM_TO = ("from", "to")
"""An order of dates alone: numbers of this name are places."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def pattern(values: "pd.Series[Any]") -> tuple[str, str] | None:
    """A regular expression that all values fit, and what it is in words; None for free text or fewer than 200 values.

    A form is a UUID, a date, an e-mail address, or a code: runs of digits, capitals and small letters of ASCII in one
    order with the same signs between them, such as `C12345` or `7590-VHVEG`, with digits in it. Words are none, nor is
    text with line breaks or control characters.
    """
    distinct = values.unique().tolist()
    if len(values) < LEAST_ROWS or len(distinct) < 2 or not all(map(str.isprintable, distinct)):
        return None
    for words, known in _KNOWN.items():
        if all(map(re.compile(known).fullmatch, distinct)):
            return known, words
    code = _code(distinct)
    return None if code is None else (code, "a code")


def _code(distinct: Sequence[str]) -> str | None:
    """The runs that all texts have alike, with the length of a run of letters, which is always the same."""
    first = _RUN.findall(distinct[0])
    if not 2 <= len(first) <= _MOST_RUNS or not any(run[0].isdigit() for run in first):
        return None
    kinds = [_kind(run) for run in first]
    if not all(len(kind) > 1 or kind in _SIGNS for kind in kinds):
        return None
    columns: list[set[str]] = [set() for _ in first]
    for text in distinct:
        runs = _RUN.findall(text)
        if [_kind(run) for run in runs] != kinds:
            return None
        for seen, run in zip(columns, runs, strict=True):
            seen.add(run)
    parts = [_part(kind, seen) for kind, seen in zip(kinds, columns, strict=True)]
    return None if None in parts else "".join(filter(None, parts))


def _kind(run: str) -> str:
    """What a run is of, as an expression; a sign is itself."""
    first = run[0]
    return (
        "[0-9]"
        if first in digits
        else "[A-Z]"
        if first in ascii_uppercase
        else "[a-z]"
        if first in ascii_lowercase
        else first
    )


def _part(kind: str, seen: set[str]) -> str | None:
    """What a run may be; None for letters of many lengths, which are words."""
    if len(kind) == 1:
        return "\\." if kind == "." else kind
    least, most = min(map(len, seen)), max(map(len, seen))
    if kind == "[0-9]":
        # Numbers grow: only zeros before them say that there are no fewer digits, and nothing that there are no more.
        padded = least > 1 and any(run[0] == "0" for run in seen)
        return f"{kind}{{{least},}}" if padded else f"{kind}+"
    if most == 1:
        return next(iter(seen)) if len(seen) == 1 else kind
    return f"{kind}{{{least}}}" if least == most else None


def ordered(columns: Mapping[str, "pd.Series[Any]"]) -> list[tuple[str, str, int]]:
    """Pairs of columns whose names differ by a word that says which is first or smaller, and that hold to it.

    `columns` are numbers, or texts that sort as what they mean, as dates of one form do; each (rows,), with what is
    missing as NaN or None. A pair holds where no row of at least 200 has the first above the second, not all are equal,
    and their ranges overlap, as what lies apart keeps any order by chance. Returns (first, second, rows).
    """
    found = []
    for first, second in permutations(columns, 2):
        one, two = columns[first], columns[second]
        named = all(name.isidentifier() and name.isascii() and not iskeyword(name) for name in (first, second))
        numbers = one.dtype.kind == "f"
        if not named or numbers != (two.dtype.kind == "f") or not _paired(first, second, numbers=numbers):
            continue
        both = (one.notna() & two.notna()).to_numpy()
        low, high = (column.to_numpy()[both] for column in (one, two))
        if len(low) < LEAST_ROWS or low.max() <= high.min():
            continue
        if bool(np.all(low <= high)) and bool(np.any(low < high)):
            found.append((first, second, len(low)))
    return found


def words(name: str) -> list[str]:
    """The words of a column's name in small letters: `customerID` and `customer_id` have two, `paid` has one."""
    return [word.lower() for word in _WORD.findall(name)]


def _paired(first: str, second: str, *, numbers: bool) -> bool:
    one, two = words(first), words(second)
    if len(one) != len(two):
        # `total_charges` is the total of `charges`.
        return two == ["total", *one]
    apart = [pair for pair in zip(one, two, strict=True) if pair[0] != pair[1]]
    return len(apart) == 1 and (apart[0] in _PAIRS or (apart[0] == _FROM_TO and not numbers))
