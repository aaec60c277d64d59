"""The environment that a version was made with, made again: its Python and its packages, in a folder that is removed.

    record -> uv (or venv and pip) -> the recorded versions, none resolved anew -> the recorded release of Loopwright

The record names every package with its version, so nothing is resolved. What it does not name is where a package came
from: the index and the credentials are those that uv or pip are configured with here, for the loop's folder. A package
that was installed from a folder or a repository is of no index, where its name may be a stranger's: it is left out.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import VERSION_PATTERN

from loopwright import __version__, environment
from loopwright.errors import RecordError
from loopwright.governance import programs
from loopwright.governance.programs import OTHERWISE

_SECONDS = 3600.0
"""For an interpreter or all packages to be downloaded; uv and pip give up on a connection much sooner."""
_OWN = "loopwright"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508
_VERSION = re.compile(VERSION_PATTERN, re.VERBOSE | re.IGNORECASE)  # PEP 440
_PYTHON = re.compile(r"\d+\.\d+\.\d+[a-z0-9+]*")
_NO_INSTALL = "the recorded packages cannot be installed"
_BROKEN = "Python of the recorded environment failed"


@dataclass(frozen=True)
class Made:
    """An environment, and what of it is not as it was."""

    python: Path
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Place:
    """Where an environment is made: `folder`, beside which files may be put, by programs that run in `root`."""

    folder: Path
    root: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *command: str, failed: str) -> str:
        return programs.run(command, failed, self.root, self.folder.parent, seconds=_SECONDS)


def made(record: Mapping[str, Any], folder: Path, root: Path, say: Callable[[str], None]) -> Made:
    """Make the environment in `folder`; uv and pip are configured as in `root`, the loop's folder.

    Raises RecordError for what is not to be had.
    """
    version, packages = _checked(record)
    # A record of before 21 November 2026 does not say what was of no index; what is of none here was hardly then.
    local = set(record.get("local", environment.read()["local"]))
    ours, release = record.get(_OWN) == __version__, packages.pop(_OWN, None)
    if not ours and (release is None or _OWN in local):
        raise RecordError(
            f"the record is of Loopwright {record.get(_OWN)}, which was installed from no index",
            expected=f"this release, {__version__}, or one of an index",
            do=f"install that release and replay it there, {OTHERWISE}",
        )
    away = sorted(local & packages.keys())
    place, wanted = _Place(folder, root), {name: packages[name] for name in packages if name not in local}
    say(f"making the recorded environment: Python {version}, {len(wanted)} packages ...")
    uv = _uv()
    install = _with_uv(uv, version, place) if uv else _with_pip(version, place)
    if not ours:
        _install(place, install, {_OWN: str(release)})
        _askable(_site(place), str(release))
    _install(place, install, wanted)
    if uv is None and (unnamed := [name for name in ("setuptools", "pip") if name not in packages]):
        place.run(*install[:-3], "uninstall", "--yes", *unnamed, failed="pip failed")
    if ours:
        _give_ourselves(_site(place), _OWN in local)
    note = "packages that were installed from a folder or a repository, and not from an index, are left out"
    return Made(place.python, (f"{note}: {', '.join(away)}",) if away else ())


def _checked(record: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Python's version and the packages, each of which uv and pip read as a name and a version, and as nothing else."""
    version, implementation = str(record.get("python", "")), str(record.get("implementation", ""))
    packages = {str(name): str(one) for name, one in dict(record.get("packages", {})).items()}
    if implementation != "CPython" or not _PYTHON.fullmatch(version) or not packages:
        raise RecordError(
            f"the record names {implementation or 'no'} {version or 'Python'} and {len(packages)} packages",
            expected="CPython and the packages with their versions",
            do="replay it with `--here`",
        )
    for name, one in packages.items():
        if not (_NAME.fullmatch(name) and _VERSION.fullmatch(one)):
            raise RecordError(
                f"the record names a package {name!r} of version {one!r}",
                expected="a name (PEP 508) and one version (PEP 440)",
                do="replay it with `--here`",
            )
    return version, packages


def _uv() -> str | None:
    """uv beside this Python, as where it is installed in the same environment, or on the path."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def _with_uv(uv: str, version: str, place: _Place) -> list[str]:
    """An environment without packages; returns the command that installs a list of them."""
    minor, folder = ".".join(version.split(".")[:2]), place.folder
    venv = [uv, "venv", "--quiet", "--no-project", "--python"]
    try:
        place.run(*venv, version, str(folder), failed=f"uv has no Python {version}")
    except RecordError:
        # Its patch releases compute the same, and which one it was is told as a difference.
        shutil.rmtree(folder, ignore_errors=True)
        place.run(*venv, minor, str(folder), failed=f"uv has no Python {minor}")
    return [uv, "pip", "install", "--quiet", "--python", str(place.python), "--no-deps", "-r"]


def _with_pip(version: str, place: _Place) -> list[str]:
    minor = ".".join(version.split(".")[:2])
    same = minor == f"{sys.version_info.major}.{sys.version_info.minor}"
    base = sys.executable if same else shutil.which(f"python{minor}")
    if base is None:
        raise RecordError(
            f"there is no Python {minor} here", expected="the recorded one", do=f"install it, or uv, {OTHERWISE}"
        )
    # -I: nothing in the loop's folder is imported.
    place.run(base, "-I", "-m", "venv", str(place.folder), failed="venv failed")
    pip = [str(place.python), "-I", "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    return [*pip, "install", "--no-deps", "-r"]


def _install(place: _Place, install: list[str], packages: Mapping[str, str]) -> None:
    lock = place.folder.with_suffix(".txt")
    lock.write_text(environment.lock({"packages": packages}))
    place.run(*install, str(lock), failed=_NO_INSTALL)


def _site(place: _Place) -> Path:
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(place.run(str(place.python), "-I", "-c", where, failed=_BROKEN))


def _askable(site: Path, release: str) -> None:
    """Refuse a release that cannot be asked for a repetition, before all packages are installed for it."""
    if not (site / _OWN / "governance" / "again.py").is_file():
        raise RecordError(
            f"Loopwright {release} of the record cannot be asked to train a version again",
            expected="a release from 0.1.0 on",
            do="replay it with `--here`",
        )


def _give_ourselves(site: Path, local: bool) -> None:
    """Put the running release beside the packages: an index need not have it, and it is the recorded one."""
    source, ignored = Path(__file__).parents[1], shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, site / _OWN, ignore=ignored, dirs_exist_ok=True)
    facts = site / f"{_OWN}-{__version__}.dist-info"
    facts.mkdir(exist_ok=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_OWN}\nVersion: {__version__}\n\n")
    if local:
        origin = {"url": source.parent.as_uri(), "dir_info": {}}
        (facts / environment.DIRECT).write_text(json.dumps(origin))
