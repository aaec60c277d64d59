"""What one answers for a version with, on a real ledger, registry and run: lineage, replay, approvals, card, dossier.

The steps run in this process, as a pod runs them, in a git repository; the commands are called as the entry point does.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from loopwright import processes
from loopwright.cli.context import Context
from loopwright.cli.main import command
from loopwright.cli.versioned import record_code
from loopwright.errors import LoopwrightError
from loopwright.models import bundle
from loopwright.steps import __main__ as steps

pytestmark = [pytest.mark.slow, pytest.mark.long]

TOOLS = Path(__file__).parents[2] / ".tools" / "bin"
"""Where `make setup` keeps uv."""
FEATURES = "def features(columns):\n    return {**columns, 'older': columns['age'] * 2.0}\n"


@dataclass
class Answer:
    code: int
    out: str
    error: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


class Story:
    """A loop in a repository, and what is done with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def context(self) -> Context:
        return Context.of(str(self.folder))

    def __call__(self, *arguments: str) -> Answer:
        result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
        if isinstance(result.exception, LoopwrightError):
            return Answer(result.exception.exit_code, result.output, str(result.exception))
        assert result.exception is None, result.exception
        # Without a console script a command's return value is its exit code.
        return Answer(result.return_value if isinstance(result.return_value, int) else 0, result.output, "")

    def run(self, name: str, by: str = "ada") -> int:
        """A run that `by` asked for, through all steps; the version that came of it."""
        context = self.context
        asked = context.ledger.append("small", "request", {"reason": "to begin with", "by": by})
        facts = {"run": name, "engine": "local", "by": by}
        entry = context.ledger.append("small", "run", facts, cause=asked.number)
        record_code(context, entry.number)
        request = {"loop": json.loads(context.loop.to_json()), "features": FEATURES}
        os.environ[steps.REQUEST] = json.dumps(request)
        out, state = self.folder / "out", context.settings.state
        code = steps.main(
            [
                *("snapshot", "validate", "split", "train", "evaluate", "register"),
                *(f"--run={name}", f"--cause={entry.number}", f"--root={self.folder}", f"--outputs={out}"),
                *(f"--place={state / 'runs'}", f"--scratch={self.folder / 'scratch'}"),
            ]
        )
        assert code == 0
        return int((out / "version").read_text())


@pytest.fixture(scope="module")
def story(
    tmp_path_factory: pytest.TempPathFactory, small_declaration: str, small_rows: pd.DataFrame
) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("repository") / "small"
    folder.mkdir()
    (folder / "loop.yaml").write_text(small_declaration.replace("task:", "features: features.py, task:"))
    (folder / "features.py").write_text("# of the repository\n")
    small_rows.to_csv(folder / "rows.csv", index=False)
    (folder / ".gitignore").write_text("rows.csv\nout\n.loopwright\n")
    git = ["git", "-C", str(folder), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "a loop"], check=True)
    (folder / "features.py").write_text(FEATURES)
    before = {name: os.environ.get(name) for name in ("LOOPWRIGHT_STATE", steps.REQUEST)}
    os.environ["LOOPWRIGHT_STATE"] = str(folder / ".loopwright")
    (folder / ".loopwright").mkdir()
    made = Story(folder)
    assert made.run("small-1") == 1
    yield made
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def test_lineage_says_which_data_code_environment_and_cause_made_a_version(story: Story) -> None:
    found = story("lineage", f"{story.folder}@challenger", "--json").json
    assert (found["version"], found["aliases"], found["snapshot_state"]) == (1, ["challenger"], "here")
    assert found["data"]["rows"] == 800
    assert found["model"]["seed"] == 7
    assert found["environment"]["packages"]["lightgbm"]
    assert [one["kind"] for one in found["causes"]][:3] == ["request", "run", "snapshot"]
    head = subprocess.run(["git", "-C", str(story.folder), "rev-parse", "HEAD"], capture_output=True, text=True)
    assert found["code"]["revision"] == head.stdout.strip()
    assert found["code"]["changed"] == ["features.py"]
    patch = story("lineage", str(story.folder), "1", "--patch").out
    assert "+    return {**columns, 'older': columns['age'] * 2.0}" in patch
    assert "lightgbm==" in story("lineage", str(story.folder), "--lock").out
    shown = story("lineage", str(story.folder)).out
    assert "ada asked for a run" in shown
    assert "800 rows of rows.csv" in shown
    made = story("lineage", str(story.folder), "--snapshot", found["data"]["snapshot"][:10], "--json").json
    assert [(run["run"], run["version"], run["passed"]) for run in made["runs"]] == [("small-1", 1, True)]
    refused = story("lineage", str(story.folder), "--snapshot", "zz")
    assert (refused.code, "0 snapshots of small begin with 'zz'" in refused.error) == (3, True)
    assert story("lineage", f"{story.folder}@9").code == 8


def test_a_replay_of_a_lightgbm_version_is_the_same_byte_for_byte(story: Story, tmp_path: Path) -> None:
    found = story("replay", f"{story.folder}@1", "--keep", str(tmp_path / "again"), "--json")
    assert (found.code, found.json["outcome"], found.json["files"]) == (0, "identical", [])
    assert found.json["digest"] == found.json["registered_digest"] == bundle.digest(tmp_path / "again")
    assert (found.json["rows"] > 100, found.json["greatest"], found.json["environment"]) == (True, 0.0, [])
    assert story.context.ledger.entries("small")[-1].facts["outcome"] == "identical"


def test_another_model_and_another_environment_are_named(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    from loopwright import environment
    from loopwright.models import fit

    real = fit.fit

    def other(*arguments: object, **options: object) -> object:
        # A library that has changed: one tree fewer comes of the same parameters.
        changed = list(arguments)
        changed[2] = {**arguments[2], "num_iterations": 19}  # type: ignore[dict-item]
        return real(*changed, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(fit, "fit", other)
    now = environment.read()
    packages = {**now["packages"], "lightgbm": "0.0.1"}
    monkeypatch.setattr(environment, "read", lambda: {**now, "packages": packages})
    found = story("replay", f"{story.folder}@1", "--here", "--json")
    assert (found.code, found.json["outcome"], found.json["place"]) == (13, "different", "here")
    assert found.json["environment"] == [f"lightgbm {now['packages']['lightgbm']}, now 0.0.1"]
    assert "model.txt" in found.json["files"]
    assert found.json["greatest"] > 0
    was, again = found.json["metrics"]["log_loss"]
    assert was != again
    assert "another model came out" in found.json["error"]
    assert "leave out `--here`" in found.json["error"].lower()


def changed(path: Path) -> Callable[[], None]:
    """Change one byte in the middle of a file; returns what undoes it."""
    content = path.read_bytes()
    at = len(content) // 2
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    return lambda: path.write_bytes(content) and None  # type: ignore[func-returns-value]


def test_one_changed_byte_of_a_snapshot_or_a_model_is_found_wherever_it_is_used(story: Story) -> None:
    context = story.context
    version = context.registry.get("small", 1)
    (snapshot,) = context.settings.snapshots.glob("*.parquet")
    undo = changed(snapshot)
    for arguments in (("audit", "verify", str(story.folder)), ("replay", f"{story.folder}@1")):
        found = story(*arguments)
        assert (found.code, str(snapshot) in found.error) == (3, True), found
    undo()
    undo = changed(context.registry.fetch("small", version) / "model.txt")
    for arguments in (("audit", "verify", str(story.folder)), ("replay", f"{story.folder}@1")):
        found = story(*arguments)
        assert (found.code, "model.txt has SHA-256" in found.error) == (8, True), found
    assert "model.txt has SHA-256" in story("lineage", f"{story.folder}@1", "--json").json["model"]["problem"]
    undo()
    assert story("audit", "verify", str(story.folder), "--json").json["models"] == 1


def declared(story: Story, gates: str) -> None:
    path = story.folder / "loop.yaml"
    text = path.read_text().split("  approval:")[0].rstrip("\n")
    path.write_text(f"{text}\n  approval: required\n{gates}")


def test_a_version_waits_until_enough_of_those_who_may_have_approved_it(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(story.folder)
    refused = story("approve", folder, "1", "--reason", "why not")
    assert (refused.code, "waits for nobody" in refused.error) == (8, True)
    declared(story, "  approvers: [ada, ben, cleo]\n  approvals: 2\n  self_approval: false\n")
    version = story.run("small-2", by="ada")
    waiting = story("rollout", folder, "--version", str(version))
    assert (waiting.code, f"version {version} of small is not approved" in waiting.error) == (10, True)
    # Whoever may write to MLflow sets its tag, and the ledger is asked.
    story.context.registry.tag("small", version, "approval", "approved")
    assert story("rollout", folder, "--version", str(version)).code == 10
    story.context.registry.tag("small", version, "approval", "waiting")

    def said(by: str, what: str = "approve") -> Answer:
        monkeypatch.setenv("LOGNAME", by)
        return story(what, f"{folder}@{version}", "--reason", f"{by} looked at it")

    assert "dora is none of the approvers of small" in said("dora").error
    assert "`gates.self_approval` is false" in said("ada").error
    assert f"version {version} waits for 1 more" in said("ben").out
    assert "waits for 1 more" in said("ben").out, "said twice is said once"
    assert "not approved: 1 of 2 did" in story("promote", folder, str(version), "--reason", "r").error
    assert f"approved version {version}" in said("cleo").out
    again = said("cleo")
    assert (again.code, "was approved already, by cleo: cleo looked at it" in again.error) == (8, True)
    kinds = [entry.facts["by"] for entry in story.context.ledger.entries("small", kind="approved")]
    assert kinds == ["ben", "cleo"]
    assert story.context.registry.get("small", version).approved


def test_a_rejected_version_goes_nowhere(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(story.folder)
    declared(story, "")
    version = str(story.run("small-3"))
    assert story("reject", folder, version, "--reason", "worse for new customers").code == 0
    for arguments in (("promote", folder, version, "--reason", "r"), ("approve", folder, version, "--reason", "r")):
        found = story(*arguments)
        assert (found.code, "was rejected" in found.error) == (8, True)
    assert story("rollout", folder, "--version", version).code == 10
    assert story.context.registry.get("small", int(version)).aliases == ()
    assert story("status", folder, "--json").json["waiting_for_approval"] == []


def test_aliases_move_by_hand_where_nothing_is_served_with_a_reason_in_the_ledger(story: Story) -> None:
    folder = str(story.folder)

    def held() -> dict[str, int]:
        return {alias: one.number for one in story.context.registry.versions("small") for alias in one.aliases}

    assert story("promote", folder, "1", "--reason", "the first").code == 0
    assert story("promote", folder, "2", "--reason", "better").code == 0
    assert (held()["champion"], held()["previous"]) == (2, 1)
    assert story("archive", folder, "2", "--reason", "r").code == 8
    assert story("demote", folder, "champion", "--reason", "broken export").code == 0
    assert held() == {"champion": 1}
    assert story("demote", folder, "2", "--reason", "again").code == 8
    assert story("archive", folder, "2", "--reason", "for the record").code == 0
    gone = story("rollout", folder, "--version", "2")
    assert (gone.code, "version 2 of small is archived" in gone.error) == (10, True)
    told = story("lineage", folder, "2").out
    assert "version 2 lost champion by" in told
    assert "version 2 was archived by" in told
    assert story.context.ledger.verify() > 20


def test_the_dossier_holds_what_was_recorded_and_says_what_a_person_has_to_write(story: Story, tmp_path: Path) -> None:
    path = story.folder / "loop.yaml"
    path.write_text(path.read_text() + "card: {owner: Retention team, limits: [Not for <new> customers.]}\n")
    folder = str(story.folder)
    found = story("card", f"{folder}@1", "--to", str(tmp_path / "card"), "--json").json
    assert "card.intended_use" in found["missing"]
    assert "card.owner" not in found["missing"]
    page = (tmp_path / "card" / "model-card.html").read_text()
    assert "Not for &lt;new&gt; customers." in page
    assert {one.stem for one in (tmp_path / "card" / "pictures").iterdir()} == {
        *("roc", "precision_recall", "calibration", "importance")
    }
    sheet = (tmp_path / "card" / "data-sheet.md").read_text()
    assert "| `customer` | entity | 0 | 800 |  |" in sheet, "no row's name is shown"
    assert "| `plan` | string | 0 | 2 | " in sheet

    made = story("dossier", f"{folder}@1", "--to", str(tmp_path / "small.zip"), "--json").json
    with zipfile.ZipFile(tmp_path / "small.zip") as archive:
        archive.extractall(tmp_path)
    top = tmp_path / "small-1-dossier"
    checked = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=top, capture_output=True)
    assert checked.returncode == 0, checked.stdout
    assert subprocess.run([sys.executable, "-I", "verify_ledger.py"], cwd=top).returncode == 0
    index = (top / "dossier.md").read_text()
    headings = [line for line in index.splitlines() if line.startswith("## ")]
    assert [line[3:5] for line in headings[1:]] == [
        "1.",
        "2.",
        "2 ",
        "2 ",
        "2 ",
        "3.",
        "4.",
        "5.",
        "6.",
        "7.",
        "8.",
        "9.",
    ]
    assert any("EU declaration of conformity" in one["section"] for one in made["to_be_written"])
    assert (top / "features.py").read_text() == FEATURES
    assert "lightgbm==" in (top / "environment" / "requirements.txt").read_text()
    assert "+    return {**columns" in (top / "code.patch").read_text()
    assert story("dossier", f"{folder}@1", "--to", str(tmp_path / "no" / "where.zip")).code == 7


def test_one_changed_row_of_the_ledger_is_found_by_audit_and_dossier(story: Story, tmp_path: Path) -> None:
    database = story.context.settings.state / "ledger.db"
    content = database.read_bytes()
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE loopwright_ledger SET facts = replace(facts, 'ada', 'eve') WHERE number = 2")
    for arguments in (("audit", "verify"), ("dossier",)):
        found = story(*arguments, str(story.folder))
        assert (found.code, "entry 2 (run) was changed after it was written" in found.error) == (5, True)
    database.write_bytes(content)


OWN = """import os, time
from pathlib import Path
from sklearn.ensemble import ExtraTreesClassifier

if "HANGS" in os.environ:
    Path(os.environ["HANGS"] + ".new").write_text(str(os.getpid()))
    os.rename(os.environ["HANGS"] + ".new", os.environ["HANGS"])
    time.sleep(120)

def made():
    return ExtraTreesClassifier(n_estimators=7, max_depth=3)
"""


def assert_that_sigterm_ends_all(version: str, folder: Path) -> None:
    """Of a replay in a process, whose training hangs: neither that nor a folder is left."""
    (folder / "ended").mkdir()
    hangs, until = folder / "pid", time.monotonic() + 60
    command = [sys.executable, "-m", "loopwright.cli.main", "replay", version]
    own = {**os.environ, "HANGS": str(hangs), "TMPDIR": str(folder / "ended")}
    with subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while not hangs.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.terminate()
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, "interrupted" in said) == (130, True), said
    pid = int(hangs.read_text())
    while processes.alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not processes.alive(pid)
    assert list((folder / "ended").iterdir()) == []


def test_a_replay_elsewhere_makes_the_recorded_environment_and_code_and_leaves_nothing_behind(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loopwright import environment

    git = ["git", "-C", str(story.folder), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    own, declaration = story.folder / "own.py", story.folder / "loop.yaml"
    declaration.write_text(declaration.read_text().replace("task:", "estimator: own:made, task:"))
    text = declaration.read_text().replace("parameters: {num_iterations: 20}", "parameters: {}")
    declaration.write_text(text)
    own.write_text(OWN.replace("7", "3"))
    subprocess.run([*git, "add", "own.py"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "an estimator"], check=True)
    own.write_text(OWN)
    monkeypatch.syspath_prepend(story.folder)
    version = story.run("small-own")
    # The estimator has changed since.
    own.write_text(OWN.replace("7", "9"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with monkeypatch.context() as without:
        # The packages are those of the record, and none is to be installed for the code alone.
        without.setattr("loopwright.governance.rebuilt.made", None)
        found = story("replay", f"{story.folder}@{version}", "--json")
    assert (found.code, found.error, found.json["outcome"], found.json["place"]) == (0, "", "identical", "recorded")
    assert (found.json["environment"], found.json["files"]) == ([], [])
    assert_that_sigterm_ends_all(f"{story.folder}@{version}", tmp_path)
    # So has a package of who asks.
    now = environment.read()
    monkeypatch.setattr(environment, "read", lambda: {**now, "packages": {**now["packages"], "lightgbm": "0.0.1"}})
    monkeypatch.setenv("PATH", f"{TOOLS}:{os.environ['PATH']}")
    found = story("replay", f"{story.folder}@{version}", "--json")
    if "can be reached" in found.error:
        pytest.skip(f"the recorded packages are neither in a cache here nor to be had: {found.error}")
    # The process that trained has the packages of the record, whatever this one is told that it has.
    assert (found.code, found.error, found.json["outcome"], found.json["place"]) == (0, "", "identical", "recorded")
    assert (found.json["environment"], found.json["files"]) == ([], [])
    assert list((tmp_path / "tmp").iterdir()) == []
    assert story.context.ledger.entries("small")[-1].facts["place"] == "recorded"
