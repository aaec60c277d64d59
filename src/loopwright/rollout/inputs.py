"""Whether a challenger takes the requests that the champion takes: the columns that both models ask for.

A predictor refuses a row that lacks a column, has one that it does not know, or a value of another kind. Clients send
what the champion takes, so a challenger with other columns would fail their requests from the first one on.
"""

from collections.abc import Sequence

from loopwright.errors import RolloutError
from loopwright.models.columns import InputSpec


def check(version: int, challenger: Sequence[InputSpec], other: int, champion: Sequence[InputSpec]) -> None:
    """Raise RolloutError, naming the columns, where the two models do not take the same columns in the same order.

    The order counts where rows are arrays, and there nothing else would notice that it is another.
    """
    new, old = ({spec.name: spec.kind for spec in specs} for specs in (challenger, champion))
    differences = [
        *(f"`{name}` is added" for name in new if name not in old),
        *(f"`{name}` is removed" for name in old if name not in new),
        *(f"`{name}` is a {new[name]}, and was a {old[name]}" for name in old if new.get(name, old[name]) != old[name]),
    ]
    if not differences and list(new) != list(old):
        differences = [f"the order is {', '.join(new)}, and was {', '.join(old)}"]
    if differences:
        raise RolloutError(
            f"version {version} does not take the requests that version {other}, the champion, takes: "
            + "; ".join(differences),
            expected="a challenger with the champion's columns, as both get the same requests",
            do="train a version with the same contract, or give --other-inputs when the clients change with it",
        )
