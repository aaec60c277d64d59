"""The loop in a folder of its own, with rows of a known formula, and trained once."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# A test must neither read nor write what is shared: not the team's ledger, not its registry.
SHARED = ("LOOPWRIGHT_STATE", "LOOPWRIGHT_LEDGER_URL", "LOOPWRIGHT_REGISTRY_URI", "LOOPWRIGHT_PUSHGATEWAY_URL")


def loopwright(*arguments):
    """The command's exit code and its answer in JSON."""
    environment = {name: value for name, value in os.environ.items() if name not in SHARED}
    command = [sys.executable, "-m", "loopwright.cli.main", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    answer = json.loads(done.stdout) if done.stdout.strip() else {"error": done.stderr}
    return SimpleNamespace(code=done.returncode, answer=answer)


def copy(folder, frame):
    """The loop in `folder`, with these rows."""
    shutil.copytree(ROOT / "loop", folder, ignore=shutil.ignore_patterns("data", ".loopwright"))
    (folder / "data").mkdir()
    frame.to_csv(folder / "data" / "rows.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def frame():
    from rows import rows

    return rows()


@pytest.fixture
def loop(tmp_path, frame):
    """The loop, not yet trained."""
    return copy(tmp_path / "loop", frame)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, frame):
    """The loop, trained once: its folder, what the run answered, and the model."""
    from loopwright import settings
    from loopwright.models import model
    from loopwright.registry import Registry

    folder = copy(tmp_path_factory.mktemp("trained") / "loop", frame)
    done = loopwright("run", folder)
    assert done.code == 0, done.answer
    registry = Registry(settings.read(folder, {}))
    version = registry.get("prices", done.answer["version"])
    loaded = model.load(registry.fetch("prices", version), version.digest)
    return SimpleNamespace(folder=folder, run=done.answer, model=loaded, version=version)
