"""The benchmark of the intake: what it sends is what the monitor counts, and its table. No server is started."""

import importlib
import sys
import time

import pytest

from loopwright.declaration import parse
from loopwright.durations import Clock
from loopwright.monitor import front
from loopwright.monitor.events import check, decode
from loopwright.monitor.receiver import Receiver
from loopwright.monitor.state import Monitor


@pytest.fixture(scope="module", autouse=True)
def bench_is_importable(root):
    sys.path.insert(0, str(root))
    yield
    sys.path.remove(str(root))


def module(name):
    return importlib.import_module(f"bench.events.{name}")


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_every_event_that_is_sent_goes_the_short_way_and_is_counted(protocol):
    load, monitor = module("load"), Monitor(parse(module("measure").LOOP), Clock(), lambda content: None)
    monitor.counters.put("1", load.profile(500), 0.0)
    receiver = Receiver(monitor, time.time)
    for request in load.events(30, "/v1/cloudevents/1", protocol):
        found = front.parse(request, 0)
        assert receiver.take(found.rest, found.headers, found.body) == (200, "")
    assert monitor.pair(time.time())
    totals = monitor.counters.versions["1"].totals()
    assert totals.events == 30
    assert {int(bins.sum()) for bins in totals.features.values()} == {30}
    assert monitor.ahead == 0


def test_a_batch_that_is_sent_fits_the_profile():
    load = module("load")
    (body,) = load.batches(1)
    batch = check(decode(body), load.profile(500))
    assert (len(batch.predictions), len(batch.columns), batch.unknown) == (load.BATCH, load.FEATURES, 0)


def test_own_evaluations_are_timed_from_counts_and_from_rows():
    found = module("evaluation").own(rounds=2, repeats=1)
    assert {name: len(values) for name, values in found.items()} == {"counts": 2, "rows": 2}
    assert min(found["rows"]) > 0


def test_the_table_names_what_was_met_and_what_was_not_and_replaces_itself(tmp_path):
    report = module("report")
    rate = {"per_core_second": 20_000.0, "cpu_us": 50.0}
    result = {
        "batches": [{"per_core_second": 400_000.0}], "v1": [rate], "v2": [rate], "floor": [rate | {"cpu_us": 25.0}],
        "sink": [{"per_core_second": 5_000.0, "cpu_us": 200.0}], "load": [0.5], "missing": {"nannyml": "no network"},
        "process": [{"start": 0.5, "memory": 90.0, "over_time": [80.0, 81.0]}],
        "evaluation": {"counts": [0.0005], "rows": [0.005], "evidently": [1.0]},
    }  # fmt: skip
    docs, numbers = tmp_path / "monitor.md", tmp_path / "result.json"
    docs.write_text("# Title\n\nBefore.\n")
    report.write(result, docs, numbers)
    once = docs.read_text()
    assert "batches of 1,000 | 400,000 (400,000-400,000) | at least 300,000 | met |" in once
    assert "V1 | 20,000 (20,000-20,000) | at least 25,000 | not met |" in once
    assert "times ours from counts | 2,000 (2,000-2,000) | at least 1,000 | met |" in once
    assert "times ours from rows | 200 (200-200) | at least 250 | not met |" in once
    assert "times the floor's | 2.00 (2.00-2.00) |" in once
    assert "times the monitor's | 4.00 (4.00-4.00) |" in once
    assert "NannyML's univariate drift | not measured: no network" in once
    report.write(result, docs, numbers)
    assert docs.read_text() == once
