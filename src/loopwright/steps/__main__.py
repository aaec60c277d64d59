"""Steps as a pod runs them, one after the other: `python -m loopwright.steps snapshot validate split --run R ...`.

What is asked for comes in the environment, as the declaration and the feature code themselves: a pod has no checkout.
What came of it is left in small files, which the workflow hands to the pod after this one: the number of the last
entry in the ledger, the version, and how the steps went; the latter is also printed as it happens, for whoever follows
the run. A pod that was lost is run again from its first step: what it does twice is recorded twice, but for the
registration, which finds its own version.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopwright import processes
from loopwright.errors import DeclarationError, LoopwrightError
from loopwright.settings import REQUEST
from loopwright.steps import recording, scheduled
from loopwright.steps.place import RunPlace
from loopwright.steps.pods import STEPS, Pod

MARK = "loopwright-progress "
"""What a line of the log begins with that says how a step goes."""
LONGEST = 4000
"""Characters of an error that are told; Argo keeps them in the Workflow, which etcd bounds."""


def main(arguments: list[str] | None = None) -> int:
    """Run the steps; the exit code is that of the first error, or 0."""
    options = _options(arguments)
    processes.collect_seldom()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    out: Path = options.outputs
    out.mkdir(parents=True, exist_ok=True)
    for name, text in (("entry", str(options.cause)), ("version", "0"), ("progress", "")):
        (out / name).write_text(text, encoding="utf-8")

    def tell(line: Mapping[str, Any]) -> None:
        text = json.dumps({**line, **({"error": line["error"][:LONGEST]} if "error" in line else {})})
        print(MARK + text, flush=True)
        with (out / "progress").open("a", encoding="utf-8") as stream:
            stream.write(text + "\n")

    try:
        loop, features = _request(os.environ.get(REQUEST, ""))
        if options.ended:
            scheduled.end(loop, options.run, options.ended)
            return 0
        cause = options.cause or scheduled.begin(loop, options.run, options.reason)
        pod = Pod(loop, features, options.root, options.run, RunPlace(options.place, options.run, options.scratch))
        for name in options.steps:
            with recording.step(name, loop, options.run, cause, tell) as step:
                STEPS[name](pod, step, cause)
            cause = step.number or cause
            (out / "entry").write_text(str(cause), encoding="utf-8")
            (out / "version").write_text(str(pod.version), encoding="utf-8")
        if pod.version:
            # Only the pod that registers has a version.
            from loopwright.governance.pages import logged

            logged(step.loop, step.settings, pod.version)
    except LoopwrightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loopwright.steps")
    parser.add_argument("steps", nargs="*", choices=[[], *STEPS], metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--run", required=True, help="the run's name")
    parser.add_argument("--cause", type=int, default=0, help="the entry that led to it; 0: a run that nobody asked for")
    parser.add_argument("--reason", default="its schedule", help="why a run without a cause is made")
    parser.add_argument("--ended", default="", help="how a run without a cause ended, instead of steps")
    parser.add_argument("--root", type=Path, default=Path("/loop"), help="what a relative data.source is relative to")
    parser.add_argument("--place", default="/state/runs", help="where pods leave files for each other: folder or URL")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/run"), help="a folder of this pod")  # noqa: S108
    parser.add_argument("--outputs", type=Path, default=Path("/tmp/out"), help="where the small files go")  # noqa: S108
    return parser.parse_args(arguments)


def _request(text: str) -> tuple[str, str]:
    try:
        found = json.loads(text)
        return json.dumps(found["loop"]), str(found["features"])
    except (ValueError, KeyError, TypeError) as error:
        raise DeclarationError(
            f"{REQUEST} is not what a run is asked for by: {error}",
            expected='JSON of the form {"loop": {...}, "features": "..."}',
            do="submit the run by `loopwright run --engine argo`, or with what `loopwright render --argo` writes",
        ) from error


if __name__ == "__main__":
    sys.exit(main())
