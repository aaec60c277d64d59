import subprocess

import pytest

from loopwright import revision
from loopwright.errors import RecordError
from loopwright.governance import checkout


def git(folder, *arguments):
    own = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *own, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A loop in a folder of a repository, with a change that is not committed; and the entry that a run makes of it."""
    loop = tmp_path / "repository" / "loops" / "churn"
    (loop / "lib").mkdir(parents=True)
    git(tmp_path, "init", "-q", "repository")
    (loop / "own.py").write_text("made = 1\n")
    (loop / "lib" / "other.py").write_text("there = 1\n")
    git(loop, "add", ".")
    git(loop, "commit", "-q", "-m", "first")
    (loop / "own.py").write_text("made = 2\n")
    return loop, revision.read(loop)


def test_the_recorded_revision_stands_in_the_checkout_with_the_recorded_changes(repository, tmp_path, monkeypatch):
    loop, recorded = repository
    (loop / "own.py").write_text("made = 3\n")
    git(loop, "commit", "-q", "-a", "-m", "later")
    monkeypatch.setenv("PYTHONPATH", f"{loop / 'lib'}:{tmp_path}")
    before = (git(loop, "status", "--short"), git(loop, "worktree", "list"), git(loop, "branch", "--all"))
    said = []
    found = checkout.made(recorded, loop, tmp_path / "again", said.append)
    there = tmp_path / "again" / "loops" / "churn"
    assert found.paths == (there, tmp_path / "again", there / "lib", tmp_path)
    assert (there / "own.py").read_text() == "made = 2\n"
    assert found.notes == ()
    assert said == [f"checking out revision {recorded['revision'][:12]} ..."]
    # The clone says of itself what was recorded.
    assert {**revision.read(there), "remote": None} == recorded
    assert (git(loop, "status", "--short"), git(loop, "worktree", "list"), git(loop, "branch", "--all")) == before
    assert (loop / "own.py").read_text() == "made = 3\n"


def test_what_was_not_recorded_is_noted(repository, tmp_path):
    loop, recorded = repository
    told = {**recorded, "untracked": ["new.py"], "withheld": ["secrets.env"]}
    notes = checkout.made(told, loop, tmp_path / "again", str).notes
    assert ["new.py" in notes[0], "secrets.env" in notes[1], len(notes)] == [True, True, 2]
    (note,) = checkout.made(None, loop, tmp_path / "none", str).notes
    assert "no revision was recorded" in note


def test_a_revision_that_the_repository_does_not_have_is_named_with_where_to_fetch_it(repository, tmp_path):
    loop, recorded = repository
    gone = {**recorded, "revision": "1" * 40, "remote": "https://example.org/churn.git"}
    with pytest.raises(RecordError, match=r"does not have revision 1{40}.*Fetch it from https://example.org/churn.git"):
        checkout.made(gone, loop, tmp_path / "again", str)
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(RecordError, match=r"is in no git repository.*Clone https://example.org/churn.git"):
        checkout.made(gone, outside, tmp_path / "again", str)


def test_of_changes_recorded_by_their_digest_only_the_tree_that_has_them_will_do(repository, tmp_path):
    loop, recorded = repository
    kept = {**recorded, "patch": None}
    assert checkout.made(kept, loop, tmp_path / "again", str).paths == (loop,)
    (loop / "own.py").write_text("made = 4\n")
    with pytest.raises(RecordError, match="recorded by their digest alone"):
        checkout.made(kept, loop, tmp_path / "again", str)
