"""The environment that a version was made with, made again: its Python and its packages, in a folder that is removed.

    record -> uv (or venv and pip) -> the recorded versions, none resolved anew -> the recorded release of Loopwright

The record names every package with its version, so nothing is resolved. What it does not name is where a package came
from: the index and the credentials are those that uv or pip are configured with here.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from loopwright import __version__, environment
from loopwright.errors import RecordError
from loopwright.settings import redacted

_SECONDS = 3600.0
"""For an interpreter or all packages to be downloaded; uv and pip give up on a connection much sooner."""
_OWN = "loopwright"
_AWAY = ("error sending request", "dns error", "connection", "network", "timed out", "temporary failure", "offline")
"""What uv's and pip's messages have, in small letters, where an index does not answer or may not be asked."""
_OTHERWISE = "or see with `--here` what comes of it in the environment at hand"


def made(record: Mapping[str, Any], folder: Path, say: Callable[[str], None]) -> Path:
    """Make the environment in `folder`; returns its interpreter. Raises RecordError for what is not to be had."""
    version, implementation = str(record.get("python", "")), str(record.get("implementation", ""))
    packages = dict(record.get("packages", {}))
    if implementation != "CPython" or not version or not packages:
        raise RecordError(
            f"the record names {implementation or 'no'} {version or 'Python'} and {len(packages)} packages",
            expected="CPython and the packages with their versions",
            do="replay it with `--here`",
        )
    lock = folder.with_suffix(".txt")
    ours = packages.get(_OWN) == __version__
    lock.write_text(environment.lock({"packages": {k: v for k, v in packages.items() if not (ours and k == _OWN)}}))
    uv = _uv()
    say(f"making the recorded environment: Python {version}, {len(packages)} packages ...")
    python = _with_uv(uv, version, lock, folder) if uv else _with_pip(version, lock, packages, folder)
    if ours:
        _give_ourselves(python)
    return python


def run(python: Path, arguments: Sequence[str], folder: Path, paths: Sequence[Path] = ()) -> None:
    """Run the environment's Python in `folder`, with `paths` to import from. Raises RecordError where that fails."""
    # Without -P the folder itself would be imported from, too.
    _done([str(python), "-P", *arguments], "Python of the recorded environment failed", folder, paths, None)


def _uv() -> str | None:
    """uv beside this Python, as where it is installed in the same environment, or on the path."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def _with_uv(uv: str, version: str, lock: Path, folder: Path) -> Path:
    minor = ".".join(version.split(".")[:2])
    try:
        _done([uv, "venv", "--quiet", "--python", version, str(folder)], f"uv has no Python {version}", lock.parent)
    except RecordError:
        # Its patch releases compute the same, and which one it was is told as a difference.
        shutil.rmtree(folder, ignore_errors=True)
        _done([uv, "venv", "--quiet", "--python", minor, str(folder)], f"uv has no Python {minor}", lock.parent)
    python = folder / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--python", str(python), "--no-deps", "-r", str(lock)]
    _done(install, "the recorded packages cannot be installed", lock.parent)
    return python


def _with_pip(version: str, lock: Path, packages: Mapping[str, str], folder: Path) -> Path:
    minor = ".".join(version.split(".")[:2])
    same = minor == f"{sys.version_info.major}.{sys.version_info.minor}"
    base = sys.executable if same else shutil.which(f"python{minor}")
    if base is None:
        raise RecordError(
            f"there is no Python {minor} here", expected="the recorded one", do=f"install it, or uv, {_OTHERWISE}"
        )
    _done([base, "-m", "venv", str(folder)], "venv failed", lock.parent)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    _done([*pip, "install", "--no-deps", "-r", str(lock)], "the recorded packages cannot be installed", lock.parent)
    if unnamed := [name for name in ("setuptools", "pip") if name not in packages]:
        _done([*pip, "uninstall", "--yes", *unnamed], "pip failed", lock.parent)
    return python


def _give_ourselves(python: Path) -> None:
    """Put the running release beside the packages: an index need not have it, and it is the recorded one."""
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(_done([str(python), "-I", "-c", where], "Python of the recorded environment failed", python.parent))
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(__file__).parents[1], site / _OWN, ignore=ignored, dirs_exist_ok=True)
    facts = site / f"{_OWN}-{__version__}.dist-info"
    facts.mkdir(exist_ok=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_OWN}\nVersion: {__version__}\n\n")


def _done(
    command: Sequence[str], failed: str, folder: Path, paths: Sequence[Path] = (), seconds: float | None = _SECONDS
) -> str:
    """What a command printed. Raises RecordError with the end of what it said."""
    own = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    if paths:
        own["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    try:
        ended = subprocess.run(
            command, cwd=folder, env=own, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RecordError(f"{failed}: {error}", do=f"see why, {_OTHERWISE}") from error
    if ended.returncode != 0:
        raise _why(failed, ended.stderr or ended.stdout)
    return ended.stdout.strip()


def _why(failed: str, said: str) -> RecordError:
    lines = [" ".join(line.split()) for line in redacted(said).splitlines() if line.strip()]
    text = " ".join(line for line in lines[-6:])[-500:]
    small = text.lower()
    if "no matching distribution" in small or "there is no version" in small or "not found in the package" in small:
        do = "name an index that has it to uv or pip (UV_FIND_LINKS, PIP_FIND_LINKS for a folder of wheels)"
    elif any(word in small for word in _AWAY):
        do = "try again where the package index can be reached"
    else:
        do = "see what it says"
    return RecordError(f"{failed}: {text or 'it said nothing'}", do=f"{do}, {_OTHERWISE}")
