import hashlib
import json

import pytest

from loopwright.errors import BundleError
from loopwright.models import bundle, model


@pytest.fixture
def copied(trained, tmp_path):
    """The trained bundle in a folder that a test may spoil."""
    source, digest, _ = trained
    folder = tmp_path / "model"
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder, digest


def test_the_digest_is_over_the_sorted_names_and_hashes_of_every_file(trained):
    folder, digest, _ = trained
    lines = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in sorted(folder.iterdir())]
    assert digest == hashlib.sha256("".join(lines).encode()).hexdigest() == bundle.digest(folder)


def test_what_was_written_is_read_back_verified(trained):
    folder, digest, _ = trained
    read = bundle.read(folder, digest)
    assert read.digest == digest
    assert read.manifest.classes == ("No", "Yes")
    assert read.json("input_example.json")[0].keys() == {"plan", "tenure", "charges", "senior"}


@pytest.mark.parametrize("name", ["model.txt", "features.py", "profile.json", "input_example.json"])
def test_one_changed_byte_is_refused_by_the_name_of_its_file(copied, name):
    folder, _ = copied
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name} has SHA-256"):
        model.load(folder)


def test_a_manifest_rewritten_to_fit_a_changed_file_is_refused_by_the_digest(copied):
    folder, digest = copied
    (folder / "features.py").write_text("def features(columns):\n    return columns\n")
    manifest = json.loads((folder / "model.json").read_text())
    manifest["files"]["features.py"] = hashlib.sha256((folder / "features.py").read_bytes()).hexdigest()
    (folder / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=rf"model.json is another: the bundle's digest is \w+; expected {digest}"):
        bundle.read(folder, digest)


def test_missing_foreign_and_unreadable_files_are_refused_by_name(copied):
    folder, digest = copied
    (folder / "extra.py").write_text("")
    with pytest.raises(BundleError, match=r"extra.py does not belong to the bundle"):
        bundle.read(folder, digest)
    (folder / "extra.py").unlink()
    (folder / "model.txt").unlink()
    with pytest.raises(BundleError, match=r"model.txt is missing"):
        bundle.read(folder, digest)
    (folder / "model.json").write_text('{"format": 2}')
    with pytest.raises(BundleError, match=r"model.json cannot be used: format"):
        bundle.read(folder, digest)
    (folder / "model.json").unlink()
    with pytest.raises(BundleError, match=r"there is no model.json"):
        bundle.read(folder, digest)
    with pytest.raises(BundleError, match="there is no folder"):
        bundle.read(folder / "absent")


def test_a_bundle_is_never_written_over_files_and_takes_only_its_own(trained, tmp_path):
    manifest = bundle.read(trained[0]).manifest
    with pytest.raises(BundleError, match="is not empty"):
        bundle.write(trained[0], manifest, {})
    with pytest.raises(BundleError, match=r"no file model.pkl"):
        bundle.write(tmp_path / "new", manifest, {"model.pkl": b""})
