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
    monkeypatch.setenv("PYTHONPATH", f"{loop / 'lib'}:{tmp_path / 'else'}")
    monkeypatch.syspath_prepend(tmp_path / "else")
    monkeypatch.syspath_prepend(loop / "lib")
    before = (git(loop, "status", "--short"), git(loop, "worktree", "list"), git(loop, "branch", "--all"))
    said = []
    found = checkout.made(recorded, loop, tmp_path / "again", said.append)
    there = tmp_path / "again" / "loops" / "churn"
    assert found.paths == (there, tmp_path / "again", there / "lib")
    assert (there / "own.py").read_text() == "made = 2\n"
    assert found.notes == (f"folders of PYTHONPATH outside the repository are left out: {tmp_path / 'else'}",)
    assert said == [f"checking out revision {recorded['revision'][:12]} ..."]
    # The clone says of itself what was recorded.
    assert {**revision.read(there), "remote": None} == recorded
    assert (git(loop, "status", "--short"), git(loop, "worktree", "list"), git(loop, "branch", "--all")) == before
    assert (loop / "own.py").read_text() == "made = 3\n"


def test_the_users_repository_stays_as_it_is_where_git_is_told_of_another_one(repository, tmp_path, monkeypatch):
    loop, recorded = repository
    git(tmp_path, "init", "-q", "users")
    users = tmp_path / "users"
    (users / "a").write_text("a")
    git(users, "add", ".")
    git(users, "commit", "-q", "-m", "theirs")
    before = ((users / ".git" / "HEAD").read_bytes(), (users / ".git" / "index").read_bytes())
    monkeypatch.setenv("GIT_DIR", str(users / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(users / ".git" / "index"))
    # As in a hook of the other repository: neither what is recorded nor what is checked out is of that one.
    assert revision.read(loop) == recorded
    checkout.made(recorded, loop, tmp_path / "again", str)
    assert (tmp_path / "again" / "loops" / "churn" / "own.py").read_text() == "made = 2\n"
    assert ((users / ".git" / "HEAD").read_bytes(), (users / ".git" / "index").read_bytes()) == before


def test_a_revision_on_no_branch_of_a_shallow_repository_is_checked_out(repository, tmp_path):
    loop, _ = repository
    git(loop, "commit", "-q", "-a", "-m", "second")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{tmp_path / 'repository'}", "shallow")
    shallow = tmp_path / "shallow"
    head = git(shallow, "rev-parse", "HEAD")
    git(shallow, "checkout", "-q", "--orphan", "other")
    git(shallow, "commit", "-q", "-m", "other")
    git(shallow, "branch", "-q", "-D", "master" if git(shallow, "branch", "--list", "master") else "main")
    git(shallow, "update-ref", "-d", "refs/remotes/origin/HEAD")
    git(shallow, "remote", "remove", "origin")
    recorded = {"revision": head, "folder": "loops/churn", "dirty": False, "untracked": []}
    checkout.made(recorded, shallow / "loops" / "churn", tmp_path / "again", str)
    assert (tmp_path / "again" / "loops" / "churn" / "own.py").read_text() == "made = 2\n"


def test_changes_that_are_not_those_of_their_digest_are_not_applied(repository, tmp_path):
    loop, recorded = repository
    other = {**recorded, "patch": recorded["patch"].replace("made = 2", "made = 5")}
    with pytest.raises(RecordError, match="not those that their digest is of"):
        checkout.made(other, loop, tmp_path / "again", str)
    assert not (tmp_path / "again").exists()


def test_a_loops_folder_outside_the_repository_is_refused(repository, tmp_path):
    loop, recorded = repository
    with pytest.raises(RecordError, match=r"the record says of the loop's folder that it is '\.\./\.\./etc'"):
        checkout.made({**recorded, "folder": "../../etc"}, loop, tmp_path / "again", str)


def test_of_a_revision_that_was_given_the_loops_folder_is_where_it_is_now(repository, tmp_path):
    loop, recorded = repository
    given = {"revision": recorded["revision"], "folder": ".", "remote": None, "dirty": None, "untracked": []}
    found = checkout.made(given, loop, tmp_path / "again", str)
    assert found.paths[0] == tmp_path / "again" / "loops" / "churn"
    assert found.notes == ("whether anything differed from the revision was not recorded",)


def test_what_was_not_recorded_is_noted(repository, tmp_path):
    loop, recorded = repository
    told = {**recorded, "untracked": ["new.py"], "withheld": ["secrets.env"]}
    told["changed"] = ["loops/churn/own.py", "loops/common.py"]
    notes = checkout.made(told, loop, tmp_path / "again", str).notes
    assert ["new.py" in notes[0], "secrets.env" in notes[1], len(notes)] == [True, True, 3]
    assert notes[2] == "changes outside the loop's folder are not recorded: loops/common.py"
    unread = {name: one for name, one in recorded.items() if name != "patch_sha256"}
    (note,) = checkout.made({**unread, "patch": None}, loop, tmp_path / "unread", str).notes
    assert "could not be read then" in note
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
