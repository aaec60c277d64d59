"""The supervisor's side of the local state: seeing that `serving.json` changed, writing `status.json` and the series.

The files' contents are defined in rollout/state.py, as rollouts read and write them too. What is written here beside
that: in status.json `services` (Envoy, monitor, trigger, MLflow, each as a predictor is), and `series.jsonl`, one line
a second of what the reports draw.
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loopwright import files
from loopwright.rollout.counts import Arm
from loopwright.rollout.state import STATUS, Predictor, Status

SERIES = "series.jsonl"
SERIES_LINES = 3600
"""The last hour stays: the file is cut back to this many lines when it has twice as many."""


class Watch:
    """Whether a file was replaced since it was last asked; polled, as a stat costs a microsecond."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = (-1, -1, -1)

    def changed(self) -> bool:
        """Whether the file is another one than at the last call, or absent now; true at the first call."""
        try:
            stat = self._path.stat()
            now = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            now = None
        changed, self._seen = now != self._seen, now
        return changed


class StatusFile:
    """status.json, written when something in it changed."""

    def __init__(self, live: Path) -> None:
        self._path = live / STATUS
        self._written: dict[str, Any] = {}

    def write(self, status: Status, services: Mapping[str, Predictor]) -> None:
        """Replace the file if this is not what it says."""
        content = asdict(status) | {"services": {name: asdict(service) for name, service in services.items()}}
        if content != self._written:
            files.write_json(self._path, content)
            self._written = content

    def remove(self) -> None:
        """Nothing is up any more."""
        self._path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Sample:
    """One line of series.jsonl: what was observed at one moment."""

    at: float
    """Seconds since the epoch."""
    requests: Mapping[int, int]
    """Requests a version since Envoy started."""
    errors: Mapping[int, int]
    weights: Mapping[int, int]
    """Percent, as Envoy has loaded them."""
    drift: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Feature -> {"distance", "score"}, of `drift_version`; empty while the monitor has nothing to say."""
    drift_version: str | None = None

    @classmethod
    def of(cls, at: float, traffic: Mapping[int, Arm], weights: Mapping[int, int], drift: Any) -> "Sample":
        """From Envoy's counts and the monitor's answer to GET /v1/drift, or nothing where it gave none."""
        features = (drift or {}).get("features") or {}
        return cls(
            at=round(at, 3),
            requests={version: round(count.requests) for version, count in traffic.items()},
            errors={version: round(count.errors) for version, count in traffic.items()},
            weights=dict(weights),
            drift={name: {"distance": one["distance"], "score": one["score"]} for name, one in features.items()},
            drift_version=(drift or {}).get("version"),
        )


class Series:
    """series.jsonl: begun anew with each `up`, as Envoy's counters are, and bounded."""

    def __init__(self, live: Path, limit: int = SERIES_LINES) -> None:
        self._path, self._limit = live / SERIES, limit
        self._recent: deque[str] = deque(maxlen=limit)
        self._lines = 0
        files.write_text(self._path, "")

    def append(self, sample: Sample) -> None:
        """Add one line."""
        line = json.dumps(asdict(sample), separators=(",", ":")) + "\n"
        self._recent.append(line)
        self._lines += 1
        if self._lines >= 2 * self._limit:
            files.write_text(self._path, "".join(self._recent))
            self._lines = len(self._recent)
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)


def read_series(live: Path) -> list[dict[str, Any]]:
    """The lines of series.jsonl, oldest first; a line that is being written is left out."""
    try:
        lines = (live / SERIES).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines[:-1]]
