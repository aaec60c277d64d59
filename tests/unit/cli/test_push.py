"""How a run ended, for Prometheus: a later failure leaves the last success as it was, and never fails the run."""

import httpx
import pytest

from loopwright.cli import push
from loopwright.cli.context import Context
from loopwright.engines.protocol import RunStatus

SUCCEEDED = RunStatus("run-1", "churn", "succeeded", seconds=12.5, version=7)


def values(status, state, metrics):
    return {
        (gauge.name.removeprefix("loopwright_run_"), *labels.values()): value
        for gauge in push.gauges(status, state, metrics, 1000.0)
        for labels, value in gauge.values
    }


def test_a_success_has_its_version_its_metrics_and_its_moment():
    assert values(SUCCEEDED, "succeeded", {"roc_auc": 0.9, "undefined": None}) == {
        ("ended_timestamp_seconds",): 1000.0,
        ("duration_seconds",): 12.5,
        ("state", "succeeded"): 1.0,
        ("state", "rejected"): 0.0,
        ("state", "failed"): 0.0,
        ("state", "cancelled"): 0.0,
        ("metric", "roc_auc"): 0.9,
        ("success_timestamp_seconds",): 1000.0,
        ("version",): 7.0,
    }


def test_a_failure_says_nothing_of_the_last_success():
    found = values(RunStatus("run-2", "churn", "failed", error="broken"), "failed", {})
    assert found["state", "failed"] == 1.0
    assert {name for name, *_ in found} == {"ended_timestamp_seconds", "duration_seconds", "state"}


def test_a_gateway_that_is_away_is_a_warning(small_folder, monkeypatch, capsys):
    monkeypatch.setenv("LOOPWRIGHT_PUSHGATEWAY_URL", "http://127.0.0.1:1")
    push.ended(Context.of(str(small_folder)), SUCCEEDED, "succeeded", {})
    assert "warning: the Pushgateway at http://127.0.0.1:1 did not take the metrics: ConnectError" in (
        capsys.readouterr().err
    )


def test_without_a_gateway_nothing_is_sent(small_folder, monkeypatch):
    monkeypatch.delenv("LOOPWRIGHT_PUSHGATEWAY_URL", raising=False)
    monkeypatch.setattr(httpx, "Client", lambda **_: pytest.fail("nothing is to be sent"))
    push.ended(Context.of(str(small_folder)), SUCCEEDED, "succeeded", {})
