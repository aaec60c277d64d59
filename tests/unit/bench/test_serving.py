"""The benchmark's own arithmetic: answers, quantiles, process trees and tables. No server is started."""

import importlib
import os
import subprocess
import sys
import time

import pytest


@pytest.fixture(scope="module", autouse=True)
def bench_is_importable(root):
    sys.path.insert(0, str(root))
    yield
    sys.path.remove(str(root))


def module(name):
    return importlib.import_module(f"bench.serving.{name}")


def test_an_answer_is_whole_when_its_length_has_come_and_must_be_a_200():
    load = module("load")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nx: y\r\n\r\nabc"
    assert load.whole(answer) == b"abc"
    assert [load.whole(answer[:end]) for end in (10, 40, len(answer) - 1)] == [None, None, None]
    with pytest.raises(load.LoadError, match="503"):
        load.whole(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
    with pytest.raises(load.LoadError, match="no length"):
        load.whole(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


def test_arrivals_come_at_the_rate_within_the_time_and_alike_for_a_seed():
    load = module("load")
    moments = list(load.arrivals(200, 50, 3))
    assert moments == sorted(moments) == list(load.arrivals(200, 50, 3))
    assert moments[-1] < 50
    assert len(moments) == pytest.approx(10_000, rel=0.05)


def test_a_quantile_is_the_smallest_value_that_enough_values_do_not_exceed():
    quantile = module("measure").quantile
    values = [float(one) for one in range(1, 101)]
    assert [quantile(values, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert quantile([7.0], 0.99) == 7.0


def test_a_process_is_read_whatever_its_name_is():
    stat = module("measure").parse_stat("12 (a) b (c) S 3 12 9 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0")
    ticks = os.sysconf("SC_CLK_TCK")
    assert (stat.parent, stat.session, stat.seconds) == (3, 9, 300 / ticks)


def test_cpu_time_is_that_of_the_whole_process_tree():
    cpu_seconds = module("measure").cpu_seconds
    busy = "import time\nwhile time.process_time() < 0.2: pass\nprint('done', flush=True)\ninput()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}], check=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout.readline() == b"done\n"
    began = time.monotonic()
    assert 0.2 <= cpu_seconds(process.pid) < 5
    process.communicate(b"\n")
    assert time.monotonic() - began < 30
    assert cpu_seconds(process.pid) == 0


def sample(server, number, cpu):
    phase = {"cpu_us": cpu, "p99_ms": 1.0, "p50_ms": 1.0, "per_second": 1.0, "busy": 1.0}
    return {"server": server, "protocol": "v2", "rows": 1, "round": number, "full": phase, "paced": phase}


def test_a_ratio_is_of_samples_of_the_same_round_and_targets_are_judged_by_its_median():
    report = module("report")
    samples = [sample("loopwright", at, 10.0 * at) for at in (1, 2, 3)]
    samples += [sample("kserve", at, factor * 10.0 * at) for at, factor in ((1, 9), (2, 7), (3, 8.5))]
    found = report.Samples(samples)
    assert found.ratio("kserve", "v2", 1, "full", "cpu_us") == (8.5, 7.0, 9.0)
    assert found.ratio("mlflow", "v2", 1, "full", "cpu_us") is None
    machine = {"cores": 2, "cpu": "a CPU", "kernel": "1", "python": "3"}
    result = {"machine": machine, "settings": [1, 3], "versions": {}, "missing": {}, "samples": samples}
    text = report.section(result)
    assert "CPU a request 8 times less than KServe's lightgbm server | 8.50 (7.00-9.00) times | met |" in text
    assert "CPU a request 15 times less than BentoML | not measured | |" in text
