"""What people install: the built wheel holds everything that runs, and nothing else."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of the files in the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    call = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(root)]
    result = subprocess.run(call, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_every_module_and_the_compiled_pipelines_are_in_it(root: Path, wheel: list[str]) -> None:
    sources = {str(path.relative_to(root / "src")) for path in (root / "src").rglob("*.py")}
    assert sources <= set(wheel)
    assert {"loopwright/_pipelines/training.yaml", "loopwright/_pipelines/scoring.yaml"} <= set(wheel)
    assert "loopwright/py.typed" in wheel


def test_nothing_else_is_in_it(wheel: list[str]) -> None:
    others = [name for name in wheel if not re.match(r"loopwright(/|-[\d.]+\.dist-info/)", name)]
    assert others == []
    assert not [name for name in wheel if "/tests/" in name or "/components/" in name]
