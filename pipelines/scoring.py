"""The scoring pipeline: a version's predictions for all rows of an input, over many pods."""

from components import score_begin, score_end, score_share
from kfp import dsl

RETRIES = 3


@dsl.pipeline(name="scoring", description="Score all rows of an input with one version, a share a pod.")
def scoring(loop: str, arguments: list, pods: int = 4) -> int:
    """Score all rows of an input.

    Args:
        loop: The declaration, as `Loop.to_json` writes it.
        arguments: Of `loopwright score`: --input, --output and the like; `{date}` in them is the day of the run.
        pods: The shares at most.

    Returns:
        0.
    """
    # Not cached: the output is not KFP's, and what is there already is found by its own receipts.
    begun = score_begin(loop=loop, arguments=arguments, pods=pods).set_caching_options(False)
    # A recurring run has the same arguments each time; its pods have the day of the first of them with their share.
    with dsl.ParallelFor(begun.output) as share:
        each = score_share(loop=loop, arguments=arguments, share=share)
        each.set_caching_options(False).set_retry(RETRIES, backoff_duration="10s", backoff_factor=2.0)
    ended = score_end(loop=loop, arguments=arguments, shares=begun.output).set_caching_options(False).after(each)
    return ended.output
