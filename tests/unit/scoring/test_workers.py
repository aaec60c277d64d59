"""The processes of a job, and the one that asked for it."""

import multiprocessing
import pickle
import subprocess
import sys
import textwrap

import pytest
from tests.unit.scoring.test_job import NOW, began

from loopwright.models import bundle as bundles
from loopwright.scoring import begin, workers
from loopwright.scoring.job import columns_of
from loopwright.scoring.output import Output
from loopwright.scoring.plan import plan


def test_a_worker_whose_parent_is_gone_ends_without_a_word(job, parquet, monkeypatch, capfd) -> None:
    started = began(job, str(parquet), parquet.parent)
    # Ctrl-C is this process's own.
    monkeypatch.setattr("signal.signal", lambda number, action: None)
    ours, theirs = multiprocessing.Pipe()
    ours.send((started.left()[0], {}))
    ours.close()
    workers._work(started.job, theirs)
    assert capfd.readouterr() == ("", "")


@pytest.mark.long
def test_workers_end_at_once_with_a_process_that_is_killed(job, parquet, tmp_path) -> None:
    code = textwrap.dedent("""
        import os, pickle, signal, sys
        from loopwright.scoring import workers
        def killed(receipt):
            os.kill(os.getpid(), signal.SIGKILL)
        if __name__ == "__main__":
            with open(sys.argv[1], "rb") as stream:
                begun = pickle.load(stream)
            workers.score(begun.job, begun.left(), {}, killed, 2)
    """)
    (tmp_path / "ended.py").write_text(code)
    begun = began(job, str(parquet), parquet.parent)
    (tmp_path / "begun").write_bytes(pickle.dumps(begun))
    made = subprocess.run(
        [sys.executable, str(tmp_path / "ended.py"), str(tmp_path / "begun")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    # Standard error is read until the last worker has closed it.
    assert (made.returncode, made.stderr) == (-9, "")


def test_the_receipts_are_gone_through_once_however_many_units_there_are(job, parquet) -> None:
    class Counted(dict):
        times = 0

        def items(self):
            self.times += 1
            return super().items()

    needed = columns_of(job.loop, bundles.read(job.bundle), job.id)
    planned = plan(str(parquet), parquet.parent, needed, job.part_rows)
    started = begin.begin(job, planned, Output(job.output), None, NOW)
    receipts = Counted()
    workers.score(started.job, started.left()[:3], {}, lambda one: receipts.update({(one.unit, one.part): one}))
    going_on = begin.Begun(started.job, planned, started.manifest, started.output, receipts)
    assert [unit.number for unit in going_on.left()] == [3, 4]
    assert receipts.times == 1
