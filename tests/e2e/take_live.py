"""One rollout on the cluster, in a process of its own so that a test can kill it: what `loopwright rollout` does once
it has found the version in the registry.

    python tests/e2e/take_live.py LOOP_FOLDER VERSION DIGEST
"""

import json
import sys
from pathlib import Path

from loopwright import declaration, settings
from loopwright.errors import LoopwrightError
from loopwright.ledger import Ledger
from loopwright.rollout import controller, planes


def main() -> int:
    folder, version, digest = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    loop, read = declaration.load(folder), settings.read(folder)
    read.state.mkdir(exist_ok=True)

    def promoted(number: int) -> None:
        print(json.dumps({"champion": number}), flush=True)

    def show(look: controller.Look) -> None:
        if look.changed:
            print(json.dumps({"weight": look.weight, "text": look.text}), flush=True)

    try:
        with planes.open_target(loop, read) as plane:
            outcome = controller.run(
                plane, loop, version, str(folder), digest, Ledger(read.ledger_url), read, promoted, progress=show
            )
    except LoopwrightError as error:
        print(json.dumps({"error": str(error), "kind": type(error).__name__}), flush=True)
        return error.exit_code
    print(json.dumps({"promoted": outcome.promoted, "reason": outcome.reason}), flush=True)
    return 0 if outcome.promoted else 11


if __name__ == "__main__":
    sys.exit(main())
