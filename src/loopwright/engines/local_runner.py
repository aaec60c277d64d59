"""The process of one local run: `python -m loopwright.engines.local_runner FOLDER PARENT`.

It runs all steps one after the other in a child of its own, by the same functions that the pods of a workflow call:
what the steps import costs more than what they do, and is paid once a run. This process stays small and waits: it
answers a signal at once, whatever the child is in the middle of, and has a word to say where the child was killed.
The compiled pipeline of Kubeflow Pipelines is not run here; tests run it on KFP's own local runner.

Steps tell their progress by a file that the environment names. PARENT is the id of the process that started it, with
which it ends (on Linux; elsewhere it runs to its end).
"""

import logging
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from loopwright import processes, settings
from loopwright.engines import local, protocol
from loopwright.files import read_json, write_json

ARTIFACTS = "artifacts"


def main(folder: Path, parent: int) -> int:
    """Run the request in the folder; the exit code is 0 when it succeeded."""
    began, runner = time.time(), os.getpid()
    processes.collect_seldom()
    signal.signal(signal.SIGTERM, _end)
    processes.end_with_parent(parent, signal.SIGTERM)
    # There is one thread, and nothing heavy is imported yet: the child begins as small as this process stays.
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        processes.end_with_parent(runner)
        return _steps(folder, began)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not (folder / local.RESULT).exists():
        write_json(folder / local.RESULT, local.result(protocol.FAILED, time.time() - began, error=_killed(code)))
    return code if code >= 0 else 128 - code


def _steps(folder: Path, began: float) -> int:
    try:
        version = _run(read_json(folder / local.REQUEST), folder)
    except Exception as error:
        told = settings.redacted(str(error))
        write_json(folder / local.RESULT, local.result(protocol.FAILED, time.time() - began, error=told))
        raise
    write_json(folder / local.RESULT, local.result(protocol.SUCCEEDED, time.time() - began, version=version or None))
    return 0


def _run(request: dict[str, Any], folder: Path) -> int:
    from loopwright.governance import pages
    from loopwright.steps import recording
    from loopwright.steps.place import RunPlace
    from loopwright.steps.pods import STEPS, Pod

    os.environ[recording.PROGRESS] = str(folder / local.PROGRESS)

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    loop, run, cause = request["loop"], request["run"], int(request["cause"])
    place = RunPlace(str(folder), ARTIFACTS, folder)
    pod = Pod(loop, request["features"], Path(request["folder"]), run, place)
    try:
        for name in protocol.STEPS:
            with recording.step(name, loop, run, cause) as step:
                STEPS[name](pod, step, cause)
            cause = step.number or cause
    finally:
        pages.left(loop, place.folder)
    if pod.version:
        pages.logged(step.loop, step.settings, pod.version)
    return pod.version


def _killed(code: int) -> str:
    if code >= 0:
        return f"the run's process ended without a result, with exit code {code}"
    name = signal.Signals(-code).name
    memory = "; on Linux it is what ends a process when memory is short" if name == "SIGKILL" else ""
    return f"the run's process was ended by {name}{memory}"


def _end(number: int, _frame: FrameType | None) -> None:
    # The steps are in this process's group; their default is to end at once.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
