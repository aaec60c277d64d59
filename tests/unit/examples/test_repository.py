"""The repository to copy: its tests pass, its workflow calls commands that there are, the chart takes its values."""

import importlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from loopwright import declaration
from loopwright.cli.main import COMMANDS

ROOT = Path(__file__).parents[3]
REPOSITORY = ROOT / "examples" / "repository"
WORKFLOW = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "loop.yaml").read_text())


def test_its_loop_is_a_loop_that_a_person_approves():
    loop = declaration.load(REPOSITORY / "loop")
    assert (loop.name, loop.gates.approval) == ("prices", "required")


def lines():
    """Every call of `loopwright` in the workflow."""
    for job in WORKFLOW["jobs"].values():
        for step in job["steps"]:
            for line in step.get("run", "").replace("\\\n", " ").splitlines():
                words = shlex.split(line.split("|")[0])
                if words[:1] == ["loopwright"]:
                    yield words[1:]


@pytest.mark.parametrize("words", list(lines()), ids=" ".join)
def test_each_command_of_its_workflow_takes_its_arguments(words):
    name, *arguments = words
    command = getattr(importlib.import_module(COMMANDS[name][0]), name)
    arguments = ["7" if one == "$VERSION" else one for one in arguments]
    if name == "rollout":
        command, arguments = command.commands["start"], arguments
    # Raises where an option is unknown, and for a value that it does not take.
    command.make_context(name, arguments)


def test_its_secrets_are_in_the_jobs_that_need_them_and_in_no_test():
    jobs = {name: str(job) for name, job in WORKFLOW["jobs"].items()}
    assert "secrets." not in jobs["test"]
    assert {name for name, text in jobs.items() if "secrets." in text} == {"train", "deploy"}
    assert WORKFLOW["jobs"]["deploy"]["environment"] == "production"
    assert WORKFLOW["jobs"]["deploy"]["needs"] == "train"


def test_the_chart_takes_its_values():
    import json

    chart = ROOT / "helm" / "loopwright"
    values = yaml.safe_load((chart / "values.yaml").read_text())

    def merged(into, changes):
        return {
            **into,
            **{key: merged(into[key], one) if isinstance(one, dict) else one for key, one in changes.items()},
        }

    whole = merged(values, yaml.safe_load((REPOSITORY / "deploy" / "values.yaml").read_text()))
    jsonschema.validate(whole, json.loads((chart / "values.schema.json").read_text()))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_its_own_tests_pass(tmp_path):
    import shutil

    copy = shutil.copytree(REPOSITORY, tmp_path / "repository", ignore=shutil.ignore_patterns("data", ".loopwright"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    subprocess.run([sys.executable, "rows.py", "loop/data/rows.csv"], cwd=copy, env=environment, check=True, timeout=60)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=600"]
    answer = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=900)
    assert answer.returncode == 0, answer.stdout[-4000:]
    assert "skipped" not in answer.stdout
