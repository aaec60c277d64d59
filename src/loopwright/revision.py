"""Which code a run is of: the git revision of the loop's folder, and what differed from it, as a patch.

A tree with changes is recorded, not refused. The declaration and the feature code that a model was trained with are in
its bundle in any case; this says where they came from. Nothing in the repository is touched.
"""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

from loopwright.settings import redacted

LONGEST = 200_000
"""Bytes of a patch that are kept: it stands in the ledger, whole or not at all."""
MOST_FILES = 20
_SECONDS = 20.0
_QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def read(folder: Path) -> dict[str, Any] | None:
    """The revision of the repository that `folder` is in; None where there is no git, no repository or no commit.

    `patch` is what `git apply` needs on a checkout of `revision`, with new files that git does not ignore left out:
    they are named in `untracked`. A patch beyond `LONGEST` bytes is left out, and its digest and its files are kept.
    """
    revision = _git(folder, "rev-parse", "--verify", "HEAD")
    top = _git(folder, "rev-parse", "--show-toplevel")
    if revision is None or top is None:
        return None
    root = Path(top.decode(errors="replace").strip())
    changed = _git(root, "diff", "HEAD", "--name-only", "--no-ext-diff")
    patch = _git(root, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color") or b""
    others = _git(folder, "ls-files", "--others", "--exclude-standard", "--", ".", ":!.loopwright") or b""
    remote = _git(root, "remote", "get-url", "origin")
    found: dict[str, Any] = {
        "revision": revision.decode().strip(),
        "folder": os.path.relpath(folder.resolve(), root.resolve()),
        "remote": None if remote is None else redacted(remote.decode(errors="replace").strip()),
        "dirty": bool(patch),
        "untracked": _lines(others)[:MOST_FILES],
    }
    if patch:
        found["changed"] = _lines(changed or b"")[:MOST_FILES]
        found["patch_sha256"] = hashlib.sha256(patch).hexdigest()
        # A patch that is no text, or too long, says by its digest whether a tree at hand is the one.
        found["patch"] = _text(patch) if len(patch) <= LONGEST else None
    return found


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git says; None where it fails, or takes too long."""
    # A repository may name programs for git to start; none of them is.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", *arguments]
    try:
        done = subprocess.run(command, env={**os.environ, **_QUIET}, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _lines(output: bytes) -> list[str]:
    return output.decode(errors="replace").splitlines()


def _text(patch: bytes) -> str | None:
    try:
        return patch.decode()
    except UnicodeDecodeError:
        return None
