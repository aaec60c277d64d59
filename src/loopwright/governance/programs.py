"""Programs that a repetition starts: uv, pip, and the Python of the recorded environment.

    command -> an environment without our secrets -> a process group that ends with who waits for it -> what it said

What installs packages may run their build code, and the training runs a recorded estimator's: neither needs a token or
a password of ours. What a program says when it fails becomes an error with what to do.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from loopwright.errors import RecordError
from loopwright.settings import redacted

OTHERWISE = "or see with `--here` what comes of it in the environment at hand"
_HERE = "see with `--here` what comes of it in the environment at hand"
_OURS = ("LOOPWRIGHT_", "MLFLOW_", "AWS_", "AZURE_", "GOOGLE_")
_SECRET = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "ACCESS_KEY")
_INSTALLER = ("UV_", "PIP_")
"""Where packages are taken from, with the passwords for it."""
_OTHER_PLACE = frozenset(
    {
        *("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "UV_SYSTEM_PYTHON", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"),
        *("PIP_ROOT", "PIP_PYTHON", "UV_REQUIRE_HASHES", "PIP_REQUIRE_HASHES"),
    }
)
"""What would install into another place, import from one, or refuse a list of versions for its want of hashes."""
_AWAY = (
    *("error sending request", "dns error", "connection broken", "failed to establish a new connection", "timed out"),
    *("network is unreachable", "network was disabled", "network connectivity is disabled", "connection refused"),
    *("temporary failure in name resolution", "name or service not known", "connection reset"),
)
"""What uv's and pip's messages have, in small letters, where an index does not answer or may not be asked."""
_GONE = ("no matching distribution", "there is no version", "not found in the package")


def environment(kept: Mapping[str, str], *, installs: bool) -> dict[str, str]:
    """The variables of a program's environment: those of `kept` that are no secret and lead to no other packages.

    What configures uv, pip and the way to an index is for a program that `installs` alone.
    """

    def passed(name: str) -> bool:
        if name in _OTHER_PLACE or name.startswith(_OURS):
            return False
        if name.startswith(_INSTALLER) or name.upper().endswith("_PROXY"):
            return installs
        return not any(word in name.upper() for word in _SECRET)

    return {name: value for name, value in kept.items() if passed(name)}


def run(
    command: Sequence[str],
    failed: str,
    folder: Path,
    temporary: Path,
    *,
    paths: Sequence[Path] = (),
    installs: bool = True,
    seconds: float | None = None,
) -> str:
    """What a command printed that ran in `folder` with `temporary` for its own files, and `paths` to import from.

    Raises RecordError, which begins with `failed`, with the end of what it said. Whatever else ends the wait, as Ctrl-C
    does, ends the command and all that it started.
    """
    own = {**environment(os.environ, installs=installs), "TMPDIR": str(temporary)}
    if paths:
        own["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    try:
        with subprocess.Popen(
            command, cwd=folder, env=own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace", start_new_session=True,
        ) as process:  # fmt: skip
            try:
                out, error = process.communicate(timeout=seconds)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
    except (OSError, subprocess.TimeoutExpired) as wrong:
        raise RecordError(f"{failed}: {redacted(str(wrong))}", do=f"{_HERE}, or see why") from wrong
    if process.returncode < 0:
        raise _ended(failed, -process.returncode)
    if process.returncode > 0:
        raise _why(failed, error or out)
    return out.strip()


def _ended(failed: str, number: int) -> RecordError:
    why = "; there was probably not enough memory" if number == signal.SIGKILL else ""
    return RecordError(
        f"{failed}: it was ended by {signal.Signals(number).name}{why}", do="replay it where it has more, or see why"
    )


def _why(failed: str, said: str) -> RecordError:
    lines = [" ".join(line.split()) for line in redacted(said).splitlines() if line.strip()]
    text = " ".join(lines[-6:])[-500:]
    small = said.lower()
    # pip has no distribution of anything where it reaches no index, so this is asked first.
    if any(phrase in small for phrase in _AWAY):
        do = "try again where the package index can be reached"
    elif any(phrase in small for phrase in _GONE):
        do = "name an index that has it to uv or pip (UV_FIND_LINKS, PIP_FIND_LINKS for a folder of wheels)"
    else:
        do = "see what it says"
    return RecordError(f"{failed}: {text or 'it said nothing'}", do=f"{_HERE}, or {do}")
