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
    # A recurring run has the same arguments each time, and its pods the day of the first of them.
    given = begun.outputs["arguments"]
    with dsl.ParallelFor(begun.outputs["shares"]) as share:
        each = score_share(loop=loop, arguments=given, share=share)
        each.set_caching_options(False).set_retry(RETRIES, backoff_duration="10s", backoff_factor=2.0)
    ended = score_end(loop=loop, arguments=given).set_caching_options(False).after(each)
    return ended.output
