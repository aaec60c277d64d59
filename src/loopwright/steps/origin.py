"""What a model was made with, kept in its bundle: enough to make it again without the folder that it came from.

The bundle has the feature code already, and the registry names the snapshot. What is missing for a repetition is the
declaration as it was then, the environment, and the number of threads.
"""

import json
from typing import Any

from loopwright import environment
from loopwright.loop import Loop


def of(loop: Loop, threads: int) -> bytes:
    """The bundle's `origin.json`; the same bytes for the same declaration in the same environment."""
    found: dict[str, Any] = {
        "loop": json.loads(loop.to_json()),
        "seed": loop.model.seed,
        "threads": threads,
        "environment": environment.read(),
    }
    # The order of the contract is that of the matrix's columns, so keys stay in theirs.
    return (json.dumps(found, indent=1) + "\n").encode()
