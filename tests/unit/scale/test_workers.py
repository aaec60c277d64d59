"""What is said where workers cannot be had; with workers: tests/integration/test_scaled.py."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from loopwright.errors import RunError
from loopwright.loop import Scale
from loopwright.scale import connected as scaling
from loopwright.scale.spread import spread


def test_without_a_scale_parts_are_gone_through_here_in_order() -> None:
    with spread(None) as where:
        assert list(where.map(lambda part: part * 2, [3, 1, 2])) == [6, 2, 4]


def test_without_dask_what_to_install_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RunError, match=r"needs Dask, which is not installed here.*loopwright\[dask\]"), spread(Scale()):
        raise AssertionError("there are no workers")


def test_a_scheduler_that_is_not_there_is_told_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "PATIENCE", 0.2)
    address = "tcp://127.0.0.1:9"
    for scale in (Scale(address=address), Scale()):
        monkeypatch.setenv(scaling.ADDRESS, address)
        with pytest.raises(RunError, match=f"the Dask workers of {address} are not there"), spread(scale):
            raise AssertionError("there are no workers")


def test_a_step_without_keys_for_a_scheduler_that_wants_them_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "PATIENCE", 0.2)
    scale = Scale(address="tls://127.0.0.1:9")
    with pytest.raises(RunError, match=r"tls://127\.0\.0\.1:9 are not there: the step has no keys"), spread(scale):
        raise AssertionError("there are no workers")


def test_what_workers_of_a_killed_process_left_on_disk_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    gone, there = (tmp_path / f"loopwright-dask-{pid}-x" for pid in (int(ended.stdout), os.getppid()))
    gone.mkdir()
    there.mkdir()
    with scaling._folder() as folder:
        assert not gone.exists()
        assert there.exists()
        assert Path(folder).parent == tmp_path
    assert list(tmp_path.iterdir()) == [there]
