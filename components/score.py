"""Score all rows of an input in three steps: begin the job, score a share of it, sum it up."""

from typing import NamedTuple

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def score_begin(loop: str, arguments: list, pods: int) -> NamedTuple("Begun", [("shares", list), ("arguments", list)]):  # type: ignore[valid-type]
    """Write the job's manifest.

    Returns its shares, such as 0/8, of which there are at most `pods`, and the arguments with this day for `{date}`.
    """
    from loopwright.cli import score_cluster, score_pod

    given = [score_cluster.dated(one) for one in arguments]
    return score_pod.begin(loop, given, pods), given


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def score_share(loop: str, arguments: list, share: str) -> int:
    """Score a share, as it was named; what is scored already is not scored again."""
    from loopwright.cli import score_pod

    return score_pod.run(loop, [*arguments, "--share", share])


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def score_end(loop: str, arguments: list) -> int:
    """Sum the job up, and write it to the ledger."""
    from loopwright.cli import score_pod

    return score_pod.run(loop, [*arguments, "--only", "end"])
