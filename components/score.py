"""Score all rows of an input in three steps: begin the job, score a share of it, sum it up."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def score_begin(loop: str, arguments: list, pods: int) -> list:
    """Write the job's manifest.

    Returns its shares, such as `0/8 2026-11-22`: which of how many, of which there are at most `pods`, and the day that
    `{date}` in the arguments is. KFP's local runner goes over a step's only output, so they are one.
    """
    from loopwright.cli import score_cluster, score_pod

    day = score_cluster.today()
    shares = score_pod.begin(loop, [score_cluster.dated(one, day) for one in arguments], pods)
    return [f"{share} {day}" for share in shares]


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def score_share(loop: str, arguments: list, share: str) -> int:
    """Score a share, as it was named; what is scored already is not scored again."""
    from loopwright.cli import score_cluster, score_pod

    number, day = share.split()
    return score_pod.run(loop, [*(score_cluster.dated(one, day) for one in arguments), "--share", number])


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def score_end(loop: str, arguments: list, shares: list) -> int:
    """Sum the job of these shares up, and write it to the ledger."""
    from loopwright.cli import score_cluster, score_pod

    day = shares[0].split()[1]
    return score_pod.run(loop, [*(score_cluster.dated(one, day) for one in arguments), "--only", "end"])
