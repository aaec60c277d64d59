"""How a class is spelled, whoever names it: YAML, JSON, Parquet and CSV write one class as 1, 1.0, "1", true or "True".

A class keeps the name that the declaration or the data gave it, as bundles, profiles and answers have it; two of them
are compared by what is said here. The monitor compares its labels with it, too, so that it rests on nothing heavy.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

_WHOLE = re.compile(r"([+-]?\d+)\.0+")


def spelled(value: object) -> str:
    """A class as text that is the same for 1, 1.0 and "1.0", and for True, "True" and "TRUE"."""
    text = str(value).strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if (whole := _WHOLE.fullmatch(text)) is not None:
        return whole[1]
    return text.lower() if text.lower() in ("true", "false") else text


def place(classes: Iterable[object], value: object) -> int:
    """Which of the classes a value is, -1 for none. One with its very name comes first, then one spelled alike."""
    table = _table(tuple(map(str, classes)))
    found = table.get(str(value))
    return table.get(spelled(value), -1) if found is None else found


@lru_cache(maxsize=64)
def _table(names: tuple[str, ...]) -> dict[str, int]:
    by_name = {name: at for at, name in reversed(list(enumerate(names)))}
    return {**{spelled(name): at for name, at in by_name.items()}, **by_name}
