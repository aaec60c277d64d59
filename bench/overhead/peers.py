"""The pipelines: how each is called for a short chain and a long one, and where it is installed."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import venvs

HERE = Path(__file__).parent
LONG = 6


@dataclass(frozen=True)
class Pipeline:
    """One way to run a chain of steps: `short` has `least` steps, `long` has `most`."""

    key: str
    title: str
    short: tuple[str, ...]
    long: tuple[str, ...]
    least: int = 1
    most: int = LONG
    venv: str = ""
    packages: tuple[str, ...] = ()
    own: dict[str, str] = field(default_factory=dict)


def _numbered(script: str, *more: str, most: int = LONG) -> dict[str, Any]:
    return {"short": (script, "1", *more), "long": (script, str(most), *more), "most": most}


PIPELINES = (
    Pipeline("plain", "plain Python processes, with nothing imported", **_numbered("plain.py", most=51)),
    Pipeline("loopwright", "Loopwright, the steps of a local run, in one process", **_numbered("own.py", most=51)),
    Pipeline("kfp", "KFP's local runner, a process a step", **_numbered("kfp_local.py"), packages=("kfp",)),
    Pipeline(
        "prefect",
        "Prefect, tasks of a flow, with the server that it starts itself",
        **_numbered("prefect_flow.py", most=21),
        venv="prefect",
        packages=("prefect",),
        own={"PREFECT_HOME": "prefect", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
        # A start takes longer than the 20 s of its default where the machine is busy.
        | {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"},
    ),
    Pipeline(
        "dagster",
        "Dagster, in one process",
        **_numbered("dagster_job.py", most=21),
        venv="dagster",
        packages=("dagster",),
    ),
    Pipeline(
        "dagster_processes", "Dagster, a process a step", **_numbered("dagster_job.py", "processes"), venv="dagster"
    ),
    Pipeline(
        "metaflow",
        "Metaflow, a process a step",
        ("metaflow_short.py", "run"),
        ("metaflow_flow.py", "run"),
        least=2,
        venv="metaflow",
        packages=("metaflow",),
        own={"METAFLOW_USER": "bench"},
    ),
)


def python(pipeline: Pipeline, work: Path) -> Path:
    """The Python that runs it, of an environment that is made when it is not there. Raises PeerError."""
    if not pipeline.venv:
        return Path(sys.executable)
    return venvs.python(work / "venvs" / pipeline.venv, HERE / "requirements" / f"{pipeline.venv}.txt")


def version(pipeline: Pipeline, interpreter: Path) -> str:
    """The versions of its packages, as text."""
    code = "import importlib.metadata as m, sys; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    return subprocess.run(
        [interpreter, "-c", code, *pipeline.packages], capture_output=True, text=True, check=True
    ).stdout.strip()
