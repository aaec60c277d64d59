"""Environments of peers: each is a virtual environment of its own, made from a lock file of exact versions.

A lock `NAME.txt` is written from `NAME.in`, as its first lines say, so that the same peers are measured next year.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class PeerError(Exception):
    """A peer that cannot be installed; its text says why."""


def python(folder: Path, wanted: Path) -> Path:
    """The Python of the environment in the folder with these requirements, made when it is not there.

    Raises PeerError.
    """
    interpreter, done = folder / "bin" / "python", folder / "requirements.txt"
    if done.exists() and done.read_text() == wanted.read_text():
        return interpreter
    uv = ROOT / ".tools" / "bin" / "uv"
    if uv.exists():
        make = [str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
        install = [str(uv), "pip", "install", "--quiet", "--python", str(interpreter)]
    else:
        make = [sys.executable, "-m", "venv", "--clear", str(folder)]
        install = [str(interpreter), "-m", "pip", "install", "--quiet"]
    for command in (make, [*install, "--requirement", str(wanted)]):
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            said = " ".join((result.stderr or result.stdout).split())
            raise PeerError(f"{wanted.stem} cannot be installed: {said[:300]}")
    done.write_text(wanted.read_text())
    return interpreter
