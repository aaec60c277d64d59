"""What one answers for a version with, on a real ledger, registry and run: lineage, replay, approvals, card, dossier.

The steps run in this process, as a pod runs them, in a git repository; the commands are called as the entry point does.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from loopwright.cli.context import Context
from loopwright.cli.main import command
from loopwright.cli.versioned import record_code
from loopwright.errors import LoopwrightError
from loopwright.models import bundle
from loopwright.steps import __main__ as steps

pytestmark = [pytest.mark.slow, pytest.mark.long]

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
    found = story("replay", f"{story.folder}@1", "--json")
    assert (found.code, found.json["outcome"]) == (13, "different")
    assert found.json["environment"] == [f"lightgbm {now['packages']['lightgbm']}, now 0.0.1"]
    assert "model.txt" in found.json["files"]
    assert found.json["greatest"] > 0
    was, again = found.json["metrics"]["log_loss"]
    assert was != again
    assert "another model came out" in found.json["error"]


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
