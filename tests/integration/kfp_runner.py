"""Runs the compiled pipeline on KFP's own local runner: the local engine calls `python kfp_runner.py FOLDER PARENT`.

The pipeline that Kubeflow Pipelines is given is so tried without a cluster, each component in a process of its own.
"""

import os
import sys
import time
import warnings
from pathlib import Path

import kfp
from kfp import components

from loopwright.engines import local, protocol
from loopwright.engines.compiled import pipeline
from loopwright.files import read_json, write_json
from loopwright.steps.recording import PROGRESS


def main(folder: Path) -> None:
    """Run the request in the folder, and write its result."""
    began, request = time.time(), read_json(folder / local.REQUEST)
    os.environ[PROGRESS] = str(folder / local.PROGRESS)
    # The local runner looks for a Python image by its name, and warns of the others at each step.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="kfp")
    kfp.local.init(
        runner=kfp.local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / "artifacts"),
        workspace_root=str(folder / "workspace"),
    )
    training = components.load_component_from_file(str(pipeline("training")))
    given = {name: request[name] for name in ("loop", "features", "run")}
    task = training(**given, root=request["folder"], cause=int(request["cause"]))
    version = int(task.output) or None
    write_json(folder / local.RESULT, local.result(protocol.SUCCEEDED, time.time() - began, version=version))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
