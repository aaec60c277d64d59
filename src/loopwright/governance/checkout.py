"""The code of a run, checked out again beside the repository: its revision, with the recorded patch applied.

    entry `code` -> the repository that the loop's folder is in -> a clone that borrows its objects -> patch -> paths

Declaration and feature code are in a version's bundle. What the revision is needed for is an estimator of the loop's
own, which is imported by its name. The repository is read only: no worktree, no branch, no index of it changes.
"""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright import revision
from loopwright.errors import RecordError

_SECONDS = 300.0
_OTHERWISE = "or replay it with `--here`, where the code at hand is imported"


@dataclass(frozen=True)
class Source:
    """Where the code of a run is imported from."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...]
    """What is not as it was, in sentences."""


def made(recorded: Mapping[str, Any] | None, root: Path, folder: Path, say: Callable[[str], None]) -> Source:
    """The code that an entry `code` names, in `folder`, taken from the repository of `root`, the loop's folder.

    Without an entry it is the code at hand, and a note says so. Raises RecordError where the repository does not have
    the revision, or where the patch was not kept and the tree at hand is another.
    """
    if recorded is None:
        note = "no revision was recorded for the run, so that the estimator's code is what is at hand now"
        return Source((root.resolve(), *_imported()), (note,))
    wanted, kept = str(recorded["revision"]), recorded.get("patch")
    notes = tuple(_notes(recorded))
    if kept is None and recorded.get("patch_sha256"):
        now = revision.read(root, patches=False) or {}
        if (now.get("revision"), now.get("patch_sha256")) != (wanted, recorded["patch_sha256"]):
            raise RecordError(
                f"the changes on revision {wanted[:12]} were recorded by their digest alone",
                expected=f"a tree at hand whose changes have SHA-256 {recorded['patch_sha256'][:12]}...",
                do=f"bring {root} back to how it was, {_OTHERWISE}",
            )
        return Source((root.resolve(), *_imported()), notes)
    top = _top(root, recorded)
    _git(top, ["cat-file", "-e", f"{wanted}^{{commit}}"], _gone(wanted, top, recorded))
    say(f"checking out revision {wanted[:12]} ...")
    _git(top, ["clone", "--quiet", "--shared", "--no-checkout", "--template=", str(top), str(folder)])
    _git(folder, ["-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", wanted])
    if kept:
        _git(folder, ["apply", "--whitespace=nowarn", "-"], given=str(kept).encode())
    return Source((folder / str(recorded.get("folder", ".")), folder, *_imported(top, folder)), notes)


def _imported(top: Path | None = None, folder: Path | None = None) -> list[Path]:
    """The folders of PYTHONPATH, those inside the repository as they are in the checkout."""
    found = [Path(one or ".").resolve() for one in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    if top is None or folder is None:
        return found
    inside = top.resolve()
    return [folder / one.relative_to(inside) if one.is_relative_to(inside) else one for one in found]


def _notes(recorded: Mapping[str, Any]) -> list[str]:
    found = []
    if names := [*recorded.get("untracked", [])]:
        found.append(f"files that git did not know then are not recorded: {', '.join(names)}")
    if names := [*recorded.get("withheld", [])]:
        found.append(f"changes to files that are named as secrets are not recorded: {', '.join(names)}")
    if recorded.get("dirty") is None:
        found.append("whether anything differed from the revision was not recorded")
    return found


def _top(root: Path, recorded: Mapping[str, Any]) -> Path:
    absent = RecordError(
        f"{root} is in no git repository that can be read here",
        expected=f"one that has revision {str(recorded['revision'])[:12]}",
        do=f"clone {recorded.get('remote') or 'the repository of the run'} and replay it there, {_OTHERWISE}",
    )
    return Path(_git(root, ["rev-parse", "--show-toplevel"], absent).decode().rstrip("\n"))


def _gone(wanted: str, top: Path, recorded: Mapping[str, Any]) -> RecordError:
    remote = recorded.get("remote")
    return RecordError(
        f"the repository {top} does not have revision {wanted}",
        expected="the commit that the run was of",
        do=f"fetch it{f' from {remote}' if remote else ''}, {_OTHERWISE}",
    )


def _git(folder: Path, arguments: Sequence[str], failed: RecordError | None = None, *, given: bytes = b"") -> bytes:
    # Neither hooks nor a file system monitor that a repository names are started.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", *arguments]
    quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(command, input=given, env=quiet, check=True, capture_output=True, timeout=_SECONDS).stdout
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise failed or RecordError(
            f"git {arguments[0]} failed: {said[-1][:300] if said else 'it said nothing'}", do=f"see why, {_OTHERWISE}"
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RecordError(f"git cannot be asked: {error}", do=f"install git, {_OTHERWISE}") from error
