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


def test_the_patch_is_of_the_loops_folder_and_has_nothing_of_files_named_as_secrets(repository):
    folder, git = repository
    (folder / "other").mkdir()
    secrets = ["loop/.env", "loop/deep/TLS.KEY", "loop/my-secrets/a.txt", "other/code.py"]
    for name in secrets:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("nothing\n")
    git("add", "-f", ".")
    git("commit", "-q", "-m", "more")
    for name in [*secrets, "loop/features.py"]:
        (folder / name).write_text("hunter2\n" if name != "loop/features.py" else "one = 2\n")
    found = revision.read(folder / "loop")
    assert "one = 2" in found["patch"]
    assert "hunter2" not in str(found)
    assert found["withheld"] == secrets[:3]
    assert set(found["changed"]) == {*secrets, "loop/features.py"}


def test_a_patch_that_is_not_to_be_kept_is_known_by_its_digest(repository):
    folder, _ = repository
    (folder / "loop" / "features.py").write_text("one = 2\n")
    kept, found = revision.read(folder), revision.read(folder, patches=False)
    assert (found["patch"], found["patch_sha256"]) == (None, kept["patch_sha256"])


def test_new_files_alone_make_a_tree_dirty(repository):
    folder, _ = repository
    (folder / "loop" / "new.py").write_text("")
    found = revision.read(folder / "loop")
    assert (found["dirty"], found["changed"], "patch" in found) == (True, [], False)


def test_where_git_does_not_say_it_is_unknown_whether_anything_was_changed(repository, monkeypatch):
    folder, _ = repository
    real = revision._git
    monkeypatch.setattr(revision, "_git", lambda at, *a, **k: None if a[0] == "diff" else real(at, *a, **k))
    assert revision.read(folder / "loop")["dirty"] is None


def test_git_that_takes_too_long_is_ended(repository, monkeypatch, tmp_path_factory):
    folder, _ = repository
    program = tmp_path_factory.mktemp("bin") / "git"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    monkeypatch.setattr(revision, "_SECONDS", 0.05)
    assert revision.read(folder) is None
    assert revision.read(folder, given="abc") == {
        "revision": "abc",
        "folder": ".",
        "remote": None,
        "dirty": None,
        "untracked": [],
    }


def test_a_patch_applies_with_a_binary_file_and_whatever_the_users_configuration(repository, tmp_path_factory):
    folder, git = repository
    (folder / "loop" / "table.bin").write_bytes(bytes(range(256)))
    git("add", ".")
    git("commit", "-q", "-m", "binary")
    for name, value in (("diff.noprefix", "true"), ("diff.relative", "true"), ("diff.context", "0")):
        git("config", name, value)
    (folder / "loop" / "table.bin").write_bytes(bytes(range(255, -1, -1)))
    found = revision.read(folder / "loop")
    copy = tmp_path_factory.mktemp("copy")
    subprocess.run(["git", "clone", "-q", str(folder), str(copy)], check=True)
    subprocess.run(["git", "-C", str(copy), "apply", "-"], input=found["patch"], text=True, check=True)
    assert (copy / "loop" / "table.bin").read_bytes() == (folder / "loop" / "table.bin").read_bytes()
