"""The compiled pipeline of Kubeflow Pipelines, on KFP's own local runner: what a cluster is given works as it is."""

import sys
from pathlib import Path

import pytest

from loopwright import declaration, settings
from loopwright.engines import local, protocol
from loopwright.engines.local import LocalEngine
from loopwright.ledger import Ledger
from loopwright.registry import Registry

RUNNER = (sys.executable, str(Path(__file__).parent / "kfp_runner.py"))


@pytest.mark.slow
@pytest.mark.long
def test_the_compiled_pipeline_registers_what_the_steps_in_one_process_do(small_folder: Path) -> None:
    here, loop = settings.prepare(settings.read(small_folder, {})), declaration.load(small_folder)
    ended = []
    for run, engine in (("by-kfp", LocalEngine(here, RUNNER)), ("by-us", LocalEngine(here))):
        engine.submit(protocol.RunRequest(loop.to_json(), loop.name, small_folder, "", run, 0))
        ended.append(engine.follow(run, lambda _status: None))
        for process in local._children.values():
            process.wait(30)  # A result is there a moment before its process has ended.
    assert [status.error for status in ended] == [None, None]
    assert [status.version for status in ended] == [1, 2]
    assert {step.state for status in ended for step in status.steps} == {protocol.SUCCEEDED}
    judged = Ledger(here.ledger_url).entries(loop.name, kind="judged")
    assert [entry.facts["run"] for entry in judged] == ["by-kfp", "by-us"]
    assert judged[0].facts["metrics"] == judged[1].facts["metrics"]
    first, second = Registry(here).versions(loop.name)
    assert first.digest == second.digest
    (page,) = (here.runs / "by-kfp").glob("**/evaluate/report")
    assert "roc_auc" in page.read_text(), "which KFP's UI draws"
