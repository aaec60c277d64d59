"""The code of a run, checked out again beside the repository: its revision, with the recorded patch applied.

    entry `code` -> the repository that the loop's folder is in -> one that borrows its objects -> patch -> paths

Declaration and feature code are in a version's bundle. What the revision is needed for is an estimator of the loop's
own, which is imported by its name. The repository is read only: no worktree, no branch, no index of it changes.
"""

import hashlib
import os
import subprocess
import sys
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
    the revision, where the patch was not kept and the tree at hand is another, and where the record contradicts itself.
    """
    if recorded is None:
        note = "no revision was recorded for the run, so that the estimator's code is what is at hand now"
        return _at_hand(root, (note,))
    wanted, kept, digest = str(recorded["revision"]), recorded.get("patch"), recorded.get("patch_sha256")
    if kept is None and digest:
        now = revision.read(root, patches=False) or {}
        if (now.get("revision"), now.get("patch_sha256")) != (wanted, digest):
            raise RecordError(
                f"the changes on revision {wanted[:12]} were recorded by their digest alone",
                expected=f"a tree at hand whose changes have SHA-256 {digest[:12]}...",
                do=f"bring {root} back to how it was, {_OTHERWISE}",
            )
        return _at_hand(root, tuple(_notes(recorded)))
    if kept and hashlib.sha256(str(kept).encode()).hexdigest() != digest:
        raise RecordError(
            f"the recorded changes on revision {wanted[:12]} are not those that their digest is of",
            expected=f"SHA-256 {digest}",
            do=f"see the ledger's entry `code`, {_OTHERWISE}",
        )
    top = _top(root, recorded)
    _git(top, ["cat-file", "-e", f"{wanted}^{{commit}}"], _gone(wanted, top, recorded))
    say(f"checking out revision {wanted[:12]} ...")
    _check_out(top, wanted, folder)
    if kept:
        _git(folder, ["apply", "--whitespace=nowarn", "-"], given=str(kept).encode())
    notes = [*_notes(recorded), *_elsewhere(top)]
    if (folder / ".gitmodules").exists():
        notes.append("the repository's submodules are not checked out")
    return Source((_loop(recorded, root, top, folder), folder, *_imported(top, folder)), tuple(notes))


def _at_hand(root: Path, notes: tuple[str, ...]) -> Source:
    root = root.resolve()
    return Source((root, *_imported(root, root)), (*notes, *_elsewhere(root)))


def _check_out(top: Path, wanted: str, folder: Path) -> None:
    """Have a revision in `folder`. A clone of a shallow repository would have only what branches and tags lead to."""
    form = _git(top, ["rev-parse", "--show-object-format"]).decode().strip()
    objects = _git(top, ["rev-parse", "--git-path", "objects"]).decode().rstrip("\n")
    own = folder / ".git" / "objects" / "info" / "alternates"
    _git(top, ["init", "--quiet", "--template=", f"--object-format={form}", str(folder)])
    own.parent.mkdir(exist_ok=True)
    own.write_text(f"{(top / objects).resolve()}\n")
    _git(folder, ["checkout", "--quiet", "--detach", wanted])


def _loop(recorded: Mapping[str, Any], root: Path, top: Path, folder: Path) -> Path:
    """The loop's folder in the checkout, by the record; where git did not say it then, by where it is now."""
    unknown = recorded.get("dirty") is None
    name = str(root.resolve().relative_to(top.resolve())) if unknown else str(recorded.get("folder", "."))
    found = (folder / name).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise RecordError(
            f"the record says of the loop's folder that it is {name!r}",
            expected="a folder in the repository",
            do="replay it with `--here`",
        )
    return found


def _imported(top: Path, folder: Path) -> list[Path]:
    """The folders of the repository that modules are imported from here, as they are in the checkout.

    They are those of PYTHONPATH, and of packages that are installed from the repository as they stand there.
    """
    top = top.resolve()
    # An environment may be in the repository's folder. Loopwright is that of the environment.
    left_out = [one for one in map(Path, (sys.prefix, sys.base_prefix)) if one.is_relative_to(top)]
    ours = Path(__file__).parents[2]
    there = [
        one.relative_to(top)
        for one in (Path(name).resolve() for name in sys.path if name)
        if one.is_relative_to(top) and one != ours and not any(map(one.is_relative_to, left_out))
    ]
    return [folder / one for one in there if (folder / one).is_dir()]


def _elsewhere(top: Path) -> list[str]:
    names = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    outside = [one for one in names if not Path(one).resolve().is_relative_to(top.resolve())]
    return [f"folders of PYTHONPATH outside the repository are left out: {', '.join(outside)}"] if outside else []


def _notes(recorded: Mapping[str, Any]) -> list[str]:
    found = []
    folder = os.path.normpath(str(recorded.get("folder", ".")))
    if names := [*recorded.get("untracked", [])]:
        found.append(f"files that git did not know then are not recorded: {', '.join(names)}")
    if names := [*recorded.get("withheld", [])]:
        found.append(f"changes to files that are named as secrets are not recorded: {', '.join(names)}")
    if names := [one for one in recorded.get("changed", []) if folder != "." and not one.startswith(f"{folder}/")]:
        found.append(f"changes outside the loop's folder are not recorded: {', '.join(names)}")
    if "patch" in recorded and recorded["patch"] is None and not recorded.get("patch_sha256"):
        found.append("the changes could not be read then, and are not recorded")
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
    options = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "advice.detachedHead=false")
    command = ["git", "-C", str(folder), *(part for one in options for part in ("-c", one)), *arguments]
    own = revision.surroundings()
    try:
        return subprocess.run(command, input=given, env=own, check=True, capture_output=True, timeout=_SECONDS).stdout
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise failed or RecordError(
            f"git {arguments[0]} failed: {said[-1][:300] if said else 'it said nothing'}", do=f"see why, {_OTHERWISE}"
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RecordError(f"git cannot be asked: {error}", do=f"install git, {_OTHERWISE}") from error
