"""Whether a challenger can be held against the champion: the columns that both ask for, the classes they answer with.

A predictor refuses a row that lacks a column, has one that it does not know, or a value of another kind. Clients send
what the champion takes, so a challenger with other columns would fail their requests from the first one on. Answers of
more than two classes are compared by the place of the class, which says nothing where the two have other ones.
"""

from collections.abc import Sequence

from loopwright.errors import RolloutError
from loopwright.loop import Rollout, Scalar
from loopwright.models.columns import InputSpec

COMPARED = ("prediction_shift", "label_metric", "disagreement")
"""What of `rollout.analysis` compares the two versions' predictions."""


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


def check_classes(
    version: int, challenger: Sequence[Scalar], other: int, champion: Sequence[Scalar], rollout: Rollout
) -> None:
    """Raise RolloutError where predictions are to be compared, and either has more than two classes, not the other's.

    Of two classes it is the probability of the positive one that is compared, whatever the two are called.
    """
    new, old = ([str(one) for one in classes] for classes in (challenger, champion))
    compared = [name for name in COMPARED if getattr(rollout.analysis, name) is not None]
    compared += ["the A/B test"] if rollout.strategy == "ab" else []
    if compared and new != old and max(len(new), len(old)) > 2:
        raise RolloutError(
            f"version {version} answers with the classes {', '.join(new)}, and version {other}, the champion, with "
            f"{', '.join(old)}: {' and '.join(compared)} cannot compare them",
            expected="the champion's classes in its order, where predictions are compared",
            do="name only error_rate, latency_p99 and queries in `rollout.analysis` for this rollout, by canary, "
            "blue_green or shadow",
        )
