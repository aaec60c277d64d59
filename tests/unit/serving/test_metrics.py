import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from loopwright.serving.metrics import Histogram, Metrics


@pytest.fixture
def text():
    registry = CollectorRegistry()
    metrics = Metrics("churn", "3", registry, digest="abc")
    metrics.count("v1", "ok", 0.0003)
    metrics.count("v1", "ok", 60.0)
    metrics.failed("malformed")
    metrics.predicted(7)
    metrics.engine = lambda: "bit vectors"
    return generate_latest(registry).decode()


def test_the_exposition_is_well_formed_with_cumulative_buckets(text):
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert all(family.documentation for family in families.values())
    found = {
        sample.labels["le"]: sample.value
        for sample in families["loopwright_prediction_duration_seconds"].samples
        if sample.name.endswith("_bucket") and sample.labels["protocol"] == "v1"
    }
    assert (found["0.00025"], found["0.0005"], found["10.0"], found["+Inf"]) == (0, 1, 1, 2)
    assert list(found.values()) == sorted(found.values())


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus' promtool is not at hand")
def test_promtool_finds_nothing_wrong(text):
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_engine_that_predicts_batches_is_told(text):
    assert 'loopwright_model_engine{engine="bit vectors",loop="churn",version="3"} 1.0' in text


def test_a_value_on_a_bound_is_in_its_bucket():
    histogram = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 2.0, 3.0):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 1.0), ("2.0", 3.0), ("+Inf", 4.0)]


def test_kinds_of_errors_are_bounded():
    metrics = Metrics("churn", "3", CollectorRegistry())
    for number in range(100):
        metrics.failed(f"kind{number}")
    assert len(metrics.errors) == 31
    assert metrics.errors["other"] == 70
