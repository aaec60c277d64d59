"""A drift evaluation of 20 features, from counts and from rows, and that of peers in environments of their own."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench import venvs
from bench.events import load

ROWS = 10_000
HERE = Path(__file__).parent


def environment(name: str, work: Path) -> Path:
    """The Python of a peer's environment, made from requirements/NAME.txt. Raises PeerError."""
    return venvs.python(work / "venvs" / name, HERE / "requirements" / f"{name}.txt")


def peer(name: str, python: Path, rounds: int) -> list[float]:
    """CPU seconds of a peer's evaluations."""
    command = [str(python), str(HERE / "runners" / "peers.py"), name, str(rounds)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    found: list[float] = json.loads(result.stdout.splitlines()[-1])
    return found


def own(rounds: int, repeats: int = 50) -> dict[str, list[float]]:
    """CPU seconds of ours: from counts, and from rows, which are binned first."""
    from bench.events.measure import LOOP

    from loopwright.declaration import parse
    from loopwright.durations import Clock
    from loopwright.monitor.counters import VersionCounts
    from loopwright.monitor.drift import Rule, evaluate

    profile, rule, rng = load.profile(ROWS), Rule.of(parse(LOOP), Clock()), np.random.default_rng(4)
    columns, predictions = load.draw(rng, ROWS), rng.beta(2, 5, ROWS)

    def binned() -> Any:
        counts = VersionCounts(profile, 2)
        counts.add(columns, predictions)
        return counts.window()

    window = binned()
    return {
        "counts": [_seconds(lambda: evaluate(profile, window, rule), repeats) for _ in range(rounds)],
        "rows": [_seconds(lambda: evaluate(profile, binned(), rule), repeats) for _ in range(rounds)],
    }


def _seconds(work: Callable[[], Any], repeats: int) -> float:
    work()
    began = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - began) / repeats
