"""Which code a run is of: the git revision of the loop's folder, and what differed from it there, as a patch.

A tree with changes is recorded, not refused. The declaration and the feature code that a model was trained with are in
its bundle in any case; this says where they came from. Nothing in the repository is touched. The patch stands in the
ledger, which forgets nothing: it is of the loop's folder alone, and without files that are named as secrets are.
"""

import hashlib
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.settings import redacted

CODE = "code"
"""The kind of the entry that says which code a run is of; the run's entry is its cause."""
LONGEST = 200_000
"""Bytes of a patch that are kept: it stands in the ledger, whole or not at all."""
MOST_FILES = 20
SECRETS = (
    *(".env", ".env.*", "*.env", ".envrc", ".netrc", ".pgpass", ".pypirc", ".npmrc", "kubeconfig*"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "id_rsa*", "id_ed25519*", "id_ecdsa*"),
    *("*secret*", "*credential*", "*password*"),
)
"""Names of files and folders whose changes are left out of a patch, whatever their case."""
_SECONDS = 20.0
_LISTED = 1_000_000
"""Bytes of a list of files that are read."""
_QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
# What `git apply` reads, whatever the user's configuration of `git diff` is.
_PLAIN = (
    *("--no-ext-diff", "--no-textconv", "--no-color", "--no-relative", "--no-renames", "--binary", "-U3"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--submodule=short"),
)


@dataclass(frozen=True)
class _Output:
    kept: bytes
    """As many bytes as were asked for, from the first."""
    size: int
    sha256: str
    """Of all of it."""


def read(folder: Path, *, patches: bool = True, given: str = "") -> dict[str, Any] | None:
    """The revision of the repository that `folder` is in; None where there is no git, no repository or no commit.

    `patch` is what `git apply` needs on a checkout of `revision` to have the folder's tracked files, those that are
    named as secrets are (`SECRETS`) left out and named in `withheld`. New files that git does not ignore are named in
    `untracked`. A patch beyond `LONGEST` bytes is left out, and its digest is kept; so it is of every patch without
    `patches`. `dirty` is None where git did not say. `given` is the revision where there is no repository, as in an
    image that has no git.
    """
    revision = _git(folder, "rev-parse", "--verify", "HEAD")
    top = _git(folder, "rev-parse", "--show-toplevel")
    if revision is None or top is None:
        unknown: dict[str, Any] = {"revision": given, "folder": ".", "remote": None, "dirty": None, "untracked": []}
        return unknown if given else None
    root = Path(_text(top).strip())
    changed = _git(root, "diff", "HEAD", "--name-only", "--no-ext-diff", "--no-renames", "--no-relative")
    others = _git(folder, "ls-files", "--others", "--exclude-standard", "--", ".", ":!.loopwright")
    remote = _git(root, "remote", "get-url", "origin")
    known = changed is not None and others is not None
    found: dict[str, Any] = {
        "revision": _text(revision).strip(),
        "folder": os.path.relpath(folder.resolve(), root.resolve()),
        "remote": None if remote is None else redacted(_text(remote).strip()),
        "dirty": True if _lines(changed) or _lines(others) else False if known else None,
        "untracked": _lines(others)[:MOST_FILES],
    }
    if found["dirty"]:
        found["changed"] = _lines(changed)[:MOST_FILES]
    if _lines(changed):
        found |= _patch(folder, patches)
    return found


def _patch(folder: Path, kept: bool) -> dict[str, Any]:
    """What is recorded of the changes in the folder itself."""
    public = [f":(exclude,glob,icase)**/{name}{below}" for name in SECRETS for below in ("", "/**")]
    patch = _git(folder, "diff", "HEAD", *_PLAIN, "--", ".", *public, most=LONGEST)
    names = [
        _lines(_git(folder, "diff", "HEAD", "--name-only", "--no-renames", "--no-relative", "--", ".", *less))
        for less in ((), public)
    ]
    withheld = [name for name in names[0] if name not in set(names[1])]
    found: dict[str, Any] = {"withheld": withheld[:MOST_FILES]} if withheld else {}
    if patch is None:
        return {**found, "patch": None}
    if not patch.size:
        return found
    # A patch that is no text, or too long, says by its digest whether a tree at hand is the one.
    return {**found, "patch_sha256": patch.sha256, "patch": _whole(patch) if kept else None}


def surroundings() -> dict[str, str]:
    """The environment that git is started with: it works on the repository of the folder that it is told.

    A hook of git and some editors have GIT_DIR, GIT_INDEX_FILE and others set, by which it would be another repository.
    What adds to git's configuration stays: in a container `safe.directory` may come by it.
    """
    own = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k.startswith("GIT_CONFIG_")}
    return {**own, **_QUIET}


def _git(folder: Path, *arguments: str, most: int = _LISTED) -> _Output | None:
    """What git says, of which `most` bytes are kept; None where it fails, or takes too long."""
    # A repository may name programs for git to start; none of them is.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", *arguments]
    digest, kept, size = hashlib.sha256(), b"", 0
    try:
        with subprocess.Popen(
            command, env=surroundings(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            late = threading.Timer(_SECONDS, process.kill)
            late.start()
            try:
                while chunk := process.stdout.read(65536):
                    digest.update(chunk)
                    kept += chunk[: most - len(kept)]
                    size += len(chunk)
                process.wait()
            finally:
                late.cancel()
    except OSError:
        return None
    return _Output(kept, size, digest.hexdigest()) if process.returncode == 0 else None


def _text(output: _Output) -> str:
    return output.kept.decode(errors="replace")


def _lines(output: _Output | None) -> list[str]:
    return [] if output is None else _text(output).splitlines()


def _whole(patch: _Output) -> str | None:
    try:
        return patch.kept.decode() if patch.size == len(patch.kept) else None
    except UnicodeDecodeError:
        return None
