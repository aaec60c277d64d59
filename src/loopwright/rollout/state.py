"""What is wanted and what is observed of the local data plane: `serving.json` and `status.json`.

A rollout writes what it wants; the supervisor of `loopwright up` makes it so and writes what it sees. Neither calls
the other, so either may be killed and started again, and the files say where things stand. Every write is a new
file renamed over the old one: a reader sees one whole state or the other, never half of one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loopwright import files, processes
from loopwright.errors import StateError

SERVING = "serving.json"
STATUS = "status.json"
BEARER = "token"
"""Holds the bearer token of one `loopwright up`, for the same user's other commands."""


@dataclass(frozen=True)
class Placement:
    """A version that is to be served: its bundle's folder and digest, and its share of the traffic in percent."""

    version: int
    bundle: str
    digest: str
    weight: int = 0


@dataclass(frozen=True)
class Split:
    """How clients keep their version: by a header's values, or by a cookie with the version's number in it."""

    header: str = ""
    values: tuple[str, ...] = ()
    cookie: str = ""
    seconds: int = 0
    """How long the cookie lasts."""


@dataclass(frozen=True)
class Serving:
    """What is wanted: the stable version takes what the canary does not."""

    stable: Placement | None = None
    canary: Placement | None = None
    kept: Placement | None = None
    """The former stable version, which runs without traffic."""
    mirror: bool = False
    """The canary gets a copy of the stable version's requests."""
    split: Split | None = None
    """The canary's weight is of the clients that no header and no cookie gives a version."""

    def weights(self) -> dict[int, int]:
        """The wanted share of the traffic of each version, in percent."""
        weights = {} if self.kept is None else {self.kept.version: 0}
        if self.stable is not None:
            weights[self.stable.version] = 100 - (self.canary.weight if self.canary else 0)
        return weights if self.canary is None else weights | {self.canary.version: self.canary.weight}

    def placements(self) -> dict[int, Placement]:
        """Every version that is to be served."""
        return {one.version: one for one in (self.stable, self.canary, self.kept) if one is not None}


@dataclass(frozen=True)
class Predictor:
    """One predictor process as the supervisor sees it."""

    state: str
    """`starting`, `ready`, `failed` or `stopping`."""
    http: int = 0
    grpc: int = 0
    pid: int = 0
    restarts: int = 0


@dataclass(frozen=True)
class Status:
    """What is observed, as of the supervisor's last reconciliation."""

    pid: int
    started: float
    """Seconds since the epoch."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """gateway, grpc, envoy_admin, monitor, trigger, mlflow: URLs (grpc: host:port)."""
    predictors: Mapping[int, Predictor] = field(default_factory=dict)
    weights: Mapping[int, int] = field(default_factory=dict)
    """The share of the traffic of each version in percent, as Envoy has loaded it."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """A text for each process that does not do what it should, such as `predictor 2`."""
    mirrored: int | None = None
    """The version that gets a copy of the traffic, as Envoy has loaded it."""
    split: bool = False
    """Whether Envoy keeps clients with their version."""


def read_serving(live: Path) -> Serving:
    """What is wanted; nothing where no rollout has written yet. Raises StateError for a damaged file."""
    found = _read(live / SERVING)
    if found is None:
        return Serving()
    try:
        split = found.get("split")
        return Serving(
            **{name: _placement(found[name]) if found.get(name) else None for name in ("stable", "canary", "kept")},
            mirror=bool(found.get("mirror")),
            split=Split(**split | {"values": tuple(split["values"])}) if split else None,
        )
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise _damaged(live / SERVING, error) from error


def write_serving(live: Path, serving: Serving) -> None:
    """Say what is wanted."""
    wanted: dict[str, Any] = asdict(serving)
    for name in ("stable", "kept"):
        if wanted[name]:
            # The stable version's weight follows from the canary's; two places could disagree.
            del wanted[name]["weight"]
    # What there seldom is stands there only when it is.
    wanted = {name: value for name, value in wanted.items() if value or name in ("stable", "canary")}
    write_json(live / SERVING, wanted, durable=True)


def preview_host(loop: str) -> str:
    """The host whose requests the canary gets, whatever its weight."""
    return f"preview.{loop}"


def stored_token(live: Path) -> str:
    """The bearer token that `up` stored; empty where there is none. Raises StateError where it cannot be read."""
    try:
        return (live / BEARER).read_text().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StateError(
            f"{live / BEARER} cannot be read: {error.strerror or error}",
            expected="the token of a `loopwright up` of the same user",
            do="run as that user, or give the token as LOOPWRIGHT_TOKEN",
        ) from error


def _placement(found: Mapping[str, Any]) -> Placement:
    placement = Placement(**found)
    if not (isinstance(placement.weight, int) and 0 <= placement.weight <= 100):
        raise ValueError(f"version {placement.version} has the weight {placement.weight}; expected 0 to 100")
    return placement


def read_status(live: Path) -> Status | None:
    """What was last observed, or nothing where `up` never ran. Raises StateError for a damaged file."""
    found = _read(live / STATUS)
    if found is None:
        return None
    try:
        return Status(
            pid=int(found["pid"]),
            started=float(found["started"]),
            endpoints=dict(found.get("endpoints") or {}),
            predictors={int(version): Predictor(**one) for version, one in (found.get("predictors") or {}).items()},
            weights={int(version): int(weight) for version, weight in (found.get("weights") or {}).items()},
            mirrored=found.get("mirrored"),
            split=bool(found.get("split")),
            problems=dict(found.get("problems") or {}),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(live / STATUS, error) from error


def running(live: Path) -> Status | None:
    """What is observed while `up` runs: nothing where it never ran, has ended, or was killed and left its file."""
    status = read_status(live)
    return status if status is not None and processes.alive(status.pid) else None


def write_status(live: Path, status: Status) -> None:
    """Say what is observed."""
    # JSON's keys are text; `asdict` keeps the numbers, and `json` writes them as text.
    write_json(live / STATUS, asdict(status))


def write_json(path: Path, content: Mapping[str, Any], *, durable: bool = False) -> None:
    """Replace a file by one with this content in one step. Raises StateError when the folder cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, content, durable=durable)
    except OSError as error:
        raise StateError(
            f"{path} cannot be written: {error.strerror or error}",
            expected="a folder with free space that this user may write",
            do="free space or change its permissions",
        ) from error


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror or error}", do="check its permissions") from error
    except ValueError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StateError:
    return StateError(
        f"{path} is damaged: {error}",
        expected="the JSON that `loopwright up` and rollouts write",
        do="stop `loopwright up`, remove the file, start it again and roll the champion out",
    )
