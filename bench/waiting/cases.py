"""What is measured: commands to their end, and servers until they answer."""

import json
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.serving.servers import free_port
from bench.waiting import measure, rows
from bench.waiting.measure import Cost

RUNNERS = Path(__file__).parent / "runners"
PYTHON = sys.executable
LOOPWRIGHT = [PYTHON, "-m", "loopwright.cli.main"]
# What a run cannot do without, imported as its process imports it; the second opens the registry as well.
LIBRARIES = "from loopwright import processes; processes.collect_seldom(); import lightgbm, pandas, pyarrow.parquet"
REGISTRY = f"""{LIBRARIES}
from pathlib import Path
from loopwright import settings
from loopwright.registry import Registry
with Registry(settings.read(Path("churn"))).connected() as client:
    client.get_registered_model("churn")
"""
ROW = {"tenure": 3, "charge": 80.0, "calls": 2, "usage": 0.1, "seats": 4, "contract": "monthly", "plan": "basic"}
ROW |= {"region": "emea", "payment": "card", "paperless": "Yes"}


@dataclass(frozen=True)
class Place:
    """A folder with the rows and a loop of them, which has been run once."""

    folder: Path

    @property
    def bundle(self) -> Path:
        """The newest version's bundle."""
        found = self.folder.glob("churn/.loopwright/artifacts/**/model.json")
        return max(found, key=lambda path: path.stat().st_mtime).parent


def prepare(folder: Path, count: int) -> Place:
    """Make the place anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows.write(folder / "rows.csv", count)
    measure.command([*LOOPWRIGHT, "init", "churn", "--data", "rows.csv", "--label", "churned"], folder)
    measure.command([*LOOPWRIGHT, "run", "churn"], folder)
    measure.command([*LOOPWRIGHT, "promote", "churn", "1", "--reason", "to be served"], folder)
    return Place(folder)


def commands(place: Place) -> dict[str, Callable[[], Cost]]:
    """What is run to its end."""

    def of(*call: str) -> Callable[[], Cost]:
        return lambda: measure.command(call, place.folder)

    plain = [PYTHON, str(RUNNERS / "plain.py"), "rows.csv"]
    return {
        "python": of(PYTHON, "-c", "pass"),
        "help": of(*LOOPWRIGHT, "--help"),
        "check": of(*LOOPWRIGHT, "check", "churn"),
        "status": of(*LOOPWRIGHT, "status", "churn"),
        "history": of(*LOOPWRIGHT, "history", "churn"),
        "libraries": of(PYTHON, "-c", LIBRARIES),
        "registry": of(PYTHON, "-c", REGISTRY),
        "plain": of(*plain),
        "plain_mlflow": of(*plain, "sqlite:///plain.db"),
        "run": of(*LOOPWRIGHT, "run", "churn"),
    }


def servers(place: Place) -> dict[str, Callable[[], Cost]]:
    """What is started until it answers: each image's process by its command, and `loopwright up`."""
    work = place.folder / "work"
    work.mkdir(exist_ok=True)
    loop = _declared(place)
    (work / "loop.json").write_text(loop)
    request = json.dumps({"loop": json.loads(loop), "features": ""})

    def predictor() -> Cost:
        http, grpc = free_port(), free_port()
        call = [PYTHON, "-m", "loopwright.serving", "--bundle", str(place.bundle), "--name", "churn", "--version", "1"]
        call += ["--http-port", str(http), "--grpc-port", str(grpc)]
        return measure.server(call, work, lambda: _answers(f"http://127.0.0.1:{http}/v2/health/ready"))

    def monitor() -> Cost:
        port = free_port()
        call = [PYTHON, "-m", "loopwright.monitor", "--loop", str(work / "loop.json"), "--port", str(port)]
        return measure.server(call, work, lambda: _answers(f"http://127.0.0.1:{port}/healthz"))

    def trigger() -> Cost:
        port = free_port()
        call = [PYTHON, "-m", "loopwright.cli.trigger_service", str(place.folder / "churn"), "--port", str(port)]
        return measure.server(call, work, lambda: _answers(f"http://127.0.0.1:{port}/healthz"))

    def component() -> Cost:
        pod, told = work / "pod", work / "pod" / "out" / "progress"
        shutil.rmtree(pod, ignore_errors=True)
        (pod / "state").mkdir(parents=True)
        call = [PYTHON, "-m", "loopwright.steps", "snapshot", "--run", "bench", "--root", str(place.folder / "churn")]
        call += ["--place", str(pod / "runs"), "--scratch", str(pod / "scratch"), "--outputs", str(told.parent)]
        own = {"LOOPWRIGHT_REQUEST": request, "LOOPWRIGHT_STATE": str(pod / "state")}
        # The pod is begun when its first step has ended: a step's own imports are a part of what one waits for.
        return measure.server(call, work, lambda: told.exists() and "succeeded" in told.read_text(), own)

    def up() -> Cost:
        port = free_port()
        call = [*LOOPWRIGHT, "up", str(place.folder / "churn"), "--port", str(port)]
        body = json.dumps({"instances": [ROW]}).encode()
        return measure.server(call, work, lambda: _answers(f"http://127.0.0.1:{port}/v1/models/churn:predict", body))

    return {"component": component, "predictor": predictor, "monitor": monitor, "trigger": trigger, "up": up}


def _declared(place: Place) -> str:
    from loopwright import declaration

    return declaration.load(place.folder / "churn").to_json()


def _answers(url: str, body: bytes | None = None) -> bool:
    try:
        sent = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(sent, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
