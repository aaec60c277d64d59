"""The bundle: the folder a model is kept in, written once and verified before anything in it is used.

`model.json` names every other file with its SHA-256; the bundle's digest covers them all and is what the registry
records. Reading takes each file's bytes once, verifies them and hands on those bytes, so that nothing can change
between the check and the use. There is no pickle in it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from loopwright.errors import BundleError
from loopwright.loop import Scalar
from loopwright.models.columns import InputSpec
from loopwright.models.features import FILE as FEATURES
from loopwright.models.features import FeatureSpec

MANIFEST = "model.json"
LIGHTGBM, SKOPS = "model.txt", "model.skops"
PROFILE, EXAMPLE = "profile.json", "input_example.json"
ATTRIBUTIONS, LOSSES, CALIBRATION = "attributions.json", "losses.json", "calibration.json"
ORIGIN = "origin.json"
FILES = frozenset({LIGHTGBM, SKOPS, FEATURES, PROFILE, EXAMPLE, ATTRIBUTIONS, LOSSES, CALIBRATION, ORIGIN})
_DO = "register the model again, or restore the bundle from where it was registered"


class Manifest(BaseModel):
    """What `model.json` says of the model. `files` is filled in by `write`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    loop: str
    task: Literal["classification", "regression"]
    estimator: str
    classes: tuple[Scalar, ...] = ()
    """Classification: the negative and the positive label, or more in their declared order. Regression: none."""
    inputs: tuple[InputSpec, ...]
    """The raw columns of a request, in order."""
    features: tuple[FeatureSpec, ...]
    """What the feature code returns, in the order of the matrix."""
    ignored: tuple[str, ...] = ()
    """Columns that a request may carry and the model does not see: entity, timestamp, label."""
    threshold: float = 0.5
    """Classification: the probability from which on the positive class is decided."""
    files: dict[str, str] = {}
    """The SHA-256 of every other file."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: its manifest, the bytes of its files, and its digest."""

    folder: Path
    manifest: Manifest
    contents: Mapping[str, bytes]
    digest: str

    def json(self, name: str) -> Any:
        """A JSON file of the bundle, parsed. Raises BundleError when it is absent or no JSON."""
        try:
            return json.loads(self.contents[name])
        except (KeyError, ValueError) as error:
            raise BundleError(f"{self.folder / name} is absent or not JSON", do=_DO) from error


def write(folder: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> str:
    """Write a bundle into a new or empty folder and return its digest.

    `contents` maps file names (see `FILES`) to bytes. Raises BundleError when the folder has files already or a
    name is none of a bundle's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BundleError(f"{folder} is not empty", expected="a new folder for the bundle")
    for name in contents:
        if name not in FILES:
            raise BundleError(f"a bundle has no file {name}", expected=", ".join(sorted(FILES)))
    hashes = {name: _sha256(content) for name, content in sorted(contents.items())}
    manifest = manifest.model_copy(update={"files": hashes})
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    for name, content in {**contents, MANIFEST: text.encode()}.items():
        (folder / name).write_bytes(content)
    return _combine({**hashes, MANIFEST: _sha256(text.encode())})


def digest(folder: Path) -> str:
    """The digest of whatever files the folder holds: SHA-256 over the sorted lines `name sha256`."""
    return _combine({name: _sha256(content) for name, content in _contents(folder).items()})


def read(folder: Path, digest: str | None = None) -> Bundle:
    """Verify a bundle and read it. Raises BundleError naming the file that is not as it was written.

    Without `digest` only the manifest's own hashes are checked, which finds damage but no deliberate change.
    """
    contents = _contents(folder)
    if MANIFEST not in contents:
        raise BundleError(f"there is no {MANIFEST} in {folder}", expected="a model bundle", do=_DO)
    manifest = _manifest(folder, contents[MANIFEST])
    for name, expected in manifest.files.items():
        if name not in contents:
            raise BundleError(f"{folder / name} is missing", expected=f"SHA-256 {expected}", do=_DO)
        if (found := _sha256(contents[name])) != expected:
            raise BundleError(f"{folder / name} has SHA-256 {found}", expected=expected, do=_DO)
    for name in contents:
        if name != MANIFEST and name not in manifest.files:
            raise BundleError(f"{folder / name} does not belong to the bundle", expected="no such file", do=_DO)
    found = _combine({name: _sha256(content) for name, content in contents.items()})
    if digest is not None and found != digest:
        # Every other file agrees with the manifest, so it is the manifest that is not the registered one.
        raise BundleError(f"{folder / MANIFEST} is another: the bundle's digest is {found}", expected=digest, do=_DO)
    return Bundle(folder, manifest, contents, found)


def _contents(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        raise BundleError(f"there is no folder {folder}", expected="a model bundle", do=_DO)
    contents = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file():
            raise BundleError(f"{path} is no file", expected="a bundle of files only", do=_DO)
        try:
            contents[path.name] = path.read_bytes()
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror or error}", do="check permissions") from error
    return contents


def _manifest(folder: Path, content: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise BundleError(
            f"{folder / MANIFEST} cannot be used: {at + ': ' if at else ''}{first['msg']}",
            expected="the manifest of a bundle of format 1",
            do=_DO,
        ) from error


def _combine(hashes: Mapping[str, str]) -> str:
    lines = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(hashes.items()))
    return _sha256(os.fsencode(lines))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
