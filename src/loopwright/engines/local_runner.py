"""The process of one local run: `python -m loopwright.engines.local_runner FOLDER PARENT`.

It loads the compiled pipeline and runs it on KFP's SubprocessRunner, each step a process in this one's group, and
writes the result. Steps tell their progress by a file that the environment names. PARENT is the id of the process that
started it, with which it ends (on Linux; elsewhere it runs to its end).
"""

import os
import signal
import sys
import time
import warnings
from pathlib import Path
from types import FrameType

from loopwright import processes
from loopwright.engines import local, protocol
from loopwright.files import read_json, write_json
from loopwright.steps.recording import PROGRESS


def pipeline(name: str) -> Path:
    """The compiled pipeline: in the wheel, or at the root of the checkout."""
    package = Path(__file__).parent.parent
    packed = package / "_pipelines" / f"{name}.yaml"
    return packed if packed.exists() else package.parent.parent / "pipelines" / f"{name}.yaml"


def main(folder: Path, parent: int) -> int:
    """Run the request in the folder; the exit code is 0 when it succeeded."""
    began = time.time()
    signal.signal(signal.SIGTERM, _end)
    processes.end_with_parent(parent, signal.SIGTERM)
    request = read_json(folder / local.REQUEST)
    os.environ[PROGRESS] = str(folder / local.PROGRESS)
    try:
        version = _run(request, folder)
    except Exception as error:
        write_json(folder / local.RESULT, local.result(protocol.FAILED, time.time() - began, error=str(error)))
        raise
    write_json(folder / local.RESULT, local.result(protocol.SUCCEEDED, time.time() - began, version=version or None))
    return 0


def _run(request: dict[str, str], folder: Path) -> int:
    import kfp
    from kfp import components

    # The local runner looks for a Python image by its name, and warns of the others at each step.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="kfp")
    kfp.local.init(
        runner=kfp.local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / "artifacts"),
        workspace_root=str(folder / "workspace"),
    )
    training = components.load_component_from_file(str(pipeline("training")))
    task = training(
        loop=request["loop"],
        features=request["features"],
        root=request["folder"],
        run=request["run"],
        cause=int(request["cause"]),
    )
    return int(task.output)


def _end(number: int, _frame: FrameType | None) -> None:
    # The steps are in this process's group; their default is to end at once.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
