"""Score all rows of an input in three steps: begin the job, score a share of it, sum it up."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def score_begin(loop: str, arguments: list, pods: int) -> list:
    """Write the job's manifest; returns its shares, such as 0/8, of which there are at most `pods`."""
    from loopwright.cli import score_pod

    return score_pod.begin(loop, arguments, pods)


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
