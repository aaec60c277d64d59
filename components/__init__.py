"""The steps of `loopwright.steps` as KFP components: a typed definition each, and beside it what it compiles to.

The body of a component imports the package from the image, so the same definition runs in a pod and in KFP's local
runner. `loop` and `features` are the declaration and the feature code themselves, not paths: a pod has no checkout.
`cause` is the number of the ledger entry that led to the step, and what a step returns is the number of its own.
"""

from components.evaluate import evaluate
from components.register import register
from components.score import score_begin, score_end, score_share
from components.snapshot import snapshot
from components.split import split
from components.train import train
from components.validate import validate

__all__ = ["evaluate", "register", "score_begin", "score_end", "score_share", "snapshot", "split", "train", "validate"]
