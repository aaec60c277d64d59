import subprocess

import pytest

from loopwright import revision


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit, and git as its author."""

    def git(*arguments):
        done = subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "features.py").write_text("one = 1\n")
    (tmp_path / ".gitignore").write_text("*.csv\n")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return tmp_path, git


def test_a_folder_of_no_repository_has_none(tmp_path):
    assert revision.read(tmp_path) is None


def test_a_repository_without_a_commit_has_none(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert revision.read(tmp_path) is None


def test_a_clean_tree_has_its_revision_and_no_patch_and_no_password_of_its_remote(repository):
    folder, git = repository
    git("remote", "add", "origin", "https://me:s3cret@example.org/loop.git")
    found = revision.read(folder / "loop")
    assert found == {
        "revision": git("rev-parse", "HEAD"),
        "folder": "loop",
        "remote": "https://me:***@example.org/loop.git",
        "dirty": False,
        "untracked": [],
    }


def test_changes_are_a_patch_that_makes_the_same_tree_of_a_checkout(repository, tmp_path_factory):
    folder, git = repository
    (folder / "loop" / "features.py").write_text("one = 2\n")
    (folder / "loop" / "new.py").write_text("")
    (folder / "loop" / "rows.csv").write_text("ignored")
    found = revision.read(folder / "loop")
    assert (found["dirty"], found["changed"], found["untracked"]) == (True, ["loop/features.py"], ["new.py"])
    git("diff", "--exit-code", "--cached")
    copy = tmp_path_factory.mktemp("copy")
    subprocess.run(["git", "clone", "-q", str(folder), str(copy)], check=True)
    subprocess.run(["git", "-C", str(copy), "apply", "-"], input=found["patch"], text=True, check=True)
    assert (copy / "loop" / "features.py").read_text() == "one = 2\n"


def test_a_patch_that_is_too_long_for_the_ledger_is_known_by_its_digest(repository, monkeypatch):
    folder, _ = repository
    monkeypatch.setattr(revision, "LONGEST", 10)
    (folder / "loop" / "features.py").write_text("one = 2\n")
    found = revision.read(folder)
    assert (found["patch"], len(found["patch_sha256"]), found["changed"]) == (None, 64, ["loop/features.py"])
