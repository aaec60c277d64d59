"""What holds for every row that was seen and is worth keeping: the form of a text, and which column is the larger.

Both are guesses that a person reads in loop.yaml, so they are made of few rows never, and only where all rows agree:
a rule that sets good rows aside next month is worse than none.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import permutations
from keyword import iskeyword
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
_MOST_RUNS = 8
_PAIRS = (
    ("start", "end"), ("started", "ended"), ("begin", "end"), ("began", "ended"), ("from", "to"), ("since", "until"),
    ("opened", "closed"), ("open", "close"), ("ordered", "shipped"), ("shipped", "delivered"), ("ordered", "delivered"),
    ("created", "updated"), ("created", "closed"), ("first", "last"), ("min", "max"), ("minimum", "maximum"),
    ("low", "high"), ("lower", "upper"), ("least", "most"), ("net", "gross"), ("used", "limit"), ("monthly", "total"),
    ("daily", "total"), ("sub", "total"), ("part", "total"),
)  # fmt: skip
"""Words of two names that are otherwise the same, of which the first is of what comes first or is the smaller."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def pattern(values: "pd.Series[Any]") -> tuple[str, str] | None:
    """A regular expression that all values fit, and what it is in words; None for free text or fewer than 200 values.

    A form is a UUID, a date, an e-mail address, or a code: runs of digits, capitals and small letters in one order with
    the same signs between them, such as `C12345` or `7590-VHVEG`, with digits in it. Words are none.
    """
    distinct = values.unique().tolist()
    if len(values) < LEAST_ROWS or len(distinct) < 2:
        return None
    for words, known in _KNOWN.items():
        if all(map(re.compile(known).fullmatch, distinct)):
            return known, words
    code = _code(distinct)
    return None if code is None else (code, "a code")


def _code(distinct: Sequence[str]) -> str | None:
    """The runs that all texts have alike, with the length of a run where it is always the same."""
    first = _RUN.findall(distinct[0])
    if not 2 <= len(first) <= _MOST_RUNS or not any(run[0].isdigit() for run in first):
        return None
    kinds = [_kind(run) for run in first]
    columns: list[set[str]] = [set() for _ in first]
    for text in distinct:
        runs = _RUN.findall(text)
        if [_kind(run) for run in runs] != kinds:
            return None
        for seen, run in zip(columns, runs, strict=True):
            seen.add(run)
    parts = [_part(kind, seen) for kind, seen in zip(kinds, columns, strict=True)]
    # Where a run of letters has many lengths it is a word, and next month's may be another one.
    return None if None in parts else "".join(filter(None, parts))


def _kind(run: str) -> str:
    if not run.isascii():
        return run
    return "[0-9]" if run.isdigit() else "[A-Z]" if run.isupper() else "[a-z]" if run.islower() else run


def _part(kind: str, seen: set[str]) -> str | None:
    if len(kind) == 1:
        return f"\\{kind}" if kind in ".^$*+?{}[]\\|()" else kind
    lengths = {len(run) for run in seen}
    if len(seen) == 1 and kind != "[0-9]":
        return next(iter(seen))
    if len(lengths) == 1:
        return f"{kind}{{{lengths.pop()}}}"
    return f"{kind}+" if kind == "[0-9]" else None


def ordered(columns: Mapping[str, "pd.Series[Any]"]) -> list[tuple[str, str, int]]:
    """Pairs of columns whose names differ by a word that says which is first or smaller, and that hold to it.

    `columns` are numbers, or texts that sort as what they mean, as dates of one form do; each (rows,), with what is
    missing as NaN or None. A pair holds where no row of at least 200 has the first above the second, and not all are
    equal. Returns (first, second, rows).
    """
    found = []
    for first, second in permutations(columns, 2):
        one, two = columns[first], columns[second]
        named = all(name.isidentifier() and name.isascii() and not iskeyword(name) for name in (first, second))
        if not named or (one.dtype.kind == "f") != (two.dtype.kind == "f") or not _paired(first, second):
            continue
        both = (one.notna() & two.notna()).to_numpy()
        low, high = (column.to_numpy()[both] for column in (one, two))
        if len(low) >= LEAST_ROWS and bool(np.all(low <= high)) and bool(np.any(low < high)):
            found.append((first, second, len(low)))
    return found


def _paired(first: str, second: str) -> bool:
    one, two = ([word.lower() for word in _WORD.findall(name)] for name in (first, second))
    if len(one) != len(two):
        # `total_charges` is the total of `charges`.
        return two == ["total", *one]
    apart = [pair for pair in zip(one, two, strict=True) if pair[0] != pair[1]]
    return len(apart) == 1 and apart[0] in _PAIRS
