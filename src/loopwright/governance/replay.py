"""A version made again: the recorded snapshot, declaration, feature code, seed and threads, and what came of them.

    lineage -> snapshot, verified -> here, where this is the recorded environment -> compared, file by file
                                  -> or in a folder with the recorded Python, packages and revision

LightGBM on the same rows gives the same bytes again (`deterministic`, a fixed seed, a number of threads), and so does
scikit-learn in the same environment. Where the bytes differ, the predictions on the held-out rows and the metrics say
how far apart the two models are, and the environment's differences say what may be the reason.
"""

import json
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from loopwright import environment
from loopwright.errors import BundleError, DataError, LoopwrightError, RecordError, RegistryError
from loopwright.governance import again, checkout, programs, rebuilt
from loopwright.governance.again import DIFFERENT, EQUAL, IDENTICAL, Asked, Replayed
from loopwright.governance.lineage import Lineage
from loopwright.registry import Registry

__all__ = [
    "DIFFERENT",
    "EQUAL",
    "IDENTICAL",
    "Replayed",
    "ask",
    "asked_of",
    "differs",
    "here",
    "moved",
    "recorded",
    "snapshot_file",
]


def asked_of(found: Lineage, snapshot: Path, registry: Registry, keep: Path | None = None) -> Asked:
    """What is asked for to make a version again from the Parquet file of its snapshot; `keep` is for the new bundle.

    Raises RegistryError where the version's record does not suffice, BundleError where the registered bundle is not
    what was registered, and DataError where the snapshot is not what its name says.
    """
    from loopwright.data import snapshots

    if found.problem:
        raise BundleError(found.problem)
    if found.bundle is None or found.origin is None or found.declared is None:
        raise RegistryError(
            f"version {found.version.number} of {found.loop} has no record of its training that this release can use",
            expected="a bundle with origin.json, which every version has that is registered now",
            do="train a new version; for an older release's, install that release and replay it there",
        )
    snapshots.verify(snapshot, set(filter(None, [found.facts("snapshot").get("file_sha256")])))
    number = found.version.number
    metrics = found.facts("judged").get("metrics") or registry.evaluation(found.loop, number)["metrics"]
    return Asked(
        version=number,
        loop=dict(found.origin["loop"]),
        features=found.features.decode(),
        threads=int(found.origin["threads"]),
        search=found.facts("trained").get("search") if found.declared.model.search is not None else None,
        snapshot=str(snapshot.resolve()),
        registered=str(found.bundle.folder.resolve()),
        digest=found.bundle.digest,
        environment=dict(found.origin["environment"]),
        metrics=dict(metrics),
        keep="" if keep is None else str(keep.resolve()),
    )


def differs(asked: Asked) -> list[str]:
    """What of the recorded environment is different here and can be made again: the interpreter and the packages.

    Packages that are here besides do not count.
    """
    now, then = environment.read(), asked.environment
    machine = {name: then.get(name) for name in ("system", "machine", "libc")}
    packages = {name: one for name, one in now["packages"].items() if name in then.get("packages", {})}
    return environment.differences(then, {**now, **machine, "packages": packages})


def moved(found: Lineage, asked: Asked, now: Mapping[str, Any] | None) -> list[str]:
    """How the code at hand, by its revision `now`, differs from what the run was of, if its estimator comes of it."""
    if not _own(asked) or found.code is None:
        return []
    then, names = found.code.facts, ("revision", "patch_sha256", "changed", "dirty")
    if now is not None and all(then.get(name) == now.get(name) for name in names):
        return []
    return [f"the code was that of revision {str(then['revision'])[:12]}{' with changes' if then.get('dirty') else ''}"]


def here(asked: Asked) -> Replayed:
    """Make the version again in this process; the code of an estimator of its own is what is imported here."""
    return again.repeat(asked)


def recorded(found: Lineage, asked: Asked, root: Path, say: Callable[[str], None]) -> Replayed:
    """Make the version again with the recorded Python, packages and, for an estimator of its own, revision.

    All of it is put into a folder that is removed afterwards; `root` is the loop's folder, whose repository has the
    revision and is not touched. Raises RecordError where something of it is not to be had, and LoopwrightError with the
    exit code of what the repetition itself met.
    """
    notes: tuple[str, ...] = ()
    with tempfile.TemporaryDirectory(prefix="loopwright-recorded-") as name:
        folder = Path(name)
        try:
            # Where Loopwright is imported from is not always where packages are.
            source, paths = Path(__file__).parents[2], ()  # type: Path, tuple[Path, ...]
            if _own(asked):
                code = checkout.made(None if found.code is None else found.code.facts, root, folder / "code", say)
                notes, paths = code.notes, code.paths
            if differs(asked):
                rebuild = rebuilt.made(asked.environment, folder / "environment", root, say)
                python, notes = rebuild.python, (*notes, *rebuild.notes)
            else:
                python = Path(sys.executable)
                paths = paths if str(source) == sysconfig.get_path("purelib") else (*paths, source)
            say("training again ...")
            outcome = ask(python, asked, folder, paths)
        except LoopwrightError as error:
            raise _noted(error, notes) from error
    return replace(outcome, place="recorded", notes=(*notes, *outcome.notes))


def ask(python: Path, asked: Asked, folder: Path, paths: Sequence[Path]) -> Replayed:
    """What a process of `python` answers, whose files are in `folder` and who imports from `paths`, too.

    Raises RecordError where it gives no answer, and LoopwrightError with the exit code of the error that it met.
    """
    question, answer = folder / "asked.json", folder / "told.json"
    question.write_text(json.dumps(asdict(asked)), encoding="utf-8")
    # Without -P the folder itself would be imported from, too.
    command = [str(python), "-P", "-m", again.__name__, str(question), str(answer)]
    programs.run(command, "the training failed", folder, folder, paths=paths, installs=False)
    try:
        told = json.loads(answer.read_text(encoding="utf-8"))
        if "error" not in told:
            return Replayed.of(told)
        met = told["error"]
        error = LoopwrightError(f"trained again: {met['found']}", expected=str(met["expected"]), do=str(met["do"]))
        error.exit_code = int(met["exit_code"])
    except (OSError, ValueError, TypeError, LookupError) as wrong:
        raise RecordError(
            "the training ended without an answer that can be read",
            expected="a release whose `loopwright replay` this one understands",
            do="replay it with `--here`",
        ) from wrong
    raise error


def _own(asked: Asked) -> bool:
    return ":" in str(asked.loop["model"].get("estimator", ""))


def _noted(error: LoopwrightError, notes: Sequence[str]) -> LoopwrightError:
    """The error with what could not be had as it was recorded, which may be why."""
    if not notes:
        return error
    found = f"{error.found} (not as it was recorded: {'; '.join(notes)})"
    with_notes = LoopwrightError(found, expected=error.expected, do=error.do)
    with_notes.exit_code = error.exit_code
    return with_notes


def snapshot_file(state: Path, snapshot: str, place: str | None, folder: Path) -> Path:
    """The Parquet file of a snapshot: in the state folder, else copied from `place`, a folder or a bucket's URL.

    Raises DataError where it is in neither.
    """
    name = f"{snapshot}.parquet"
    if (state / name).exists():
        return state / name
    if place is not None and "://" not in place and (Path(place) / name).exists():
        return Path(place) / name
    if place is not None and "://" in place:
        from obstore.exceptions import BaseError

        from loopwright import buckets

        try:
            with (folder / name).open("wb") as stream:
                for chunk in buckets.connect(place).get(name):
                    stream.write(chunk)
            return folder / name
        except (BaseError, OSError, ValueError) as error:
            why = str(error).splitlines()[0][:200]
            raise DataError(f"{name} cannot be read from {place}: {why}", do="see the bucket") from error
    raise DataError(
        f"the snapshot {snapshot[:12] or 'that was not recorded'} is not in {place or state}",
        expected="the Parquet file that the run took",
        do="name the folder or the bucket that has it with --snapshots",
    )
