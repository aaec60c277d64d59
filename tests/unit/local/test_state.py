import json

from loopwright.local.state import Sample, Series, StatusFile, Watch, read_series
from loopwright.rollout.counts import ZERO
from loopwright.rollout.state import Placement, Predictor, Serving, Status, read_status, write_serving


def test_a_watch_sees_a_file_come_be_replaced_by_the_same_content_and_go(tmp_path):
    watch = Watch(tmp_path / "serving.json")
    assert watch.changed()
    assert not watch.changed()
    for _ in range(2):
        write_serving(tmp_path, Serving(Placement(1, "/one", "00")))
        assert watch.changed()
        assert not watch.changed()
    (tmp_path / "serving.json").unlink()
    assert watch.changed()
    assert not watch.changed()


def test_the_status_is_read_back_by_rollouts_and_says_more(tmp_path):
    status = Status(
        7, 1.5, {"gateway": "http://g"}, {1: Predictor("failed", 1, 2, 3, 4)}, {1: 100}, {"predictor 1": "it ended"}
    )
    file = StatusFile(tmp_path)
    file.write(status, {"envoy": Predictor("ready", pid=9)})
    assert read_status(tmp_path) == status
    text = json.loads((tmp_path / "status.json").read_text())
    assert text["services"]["envoy"]["pid"] == 9
    file.remove()
    assert read_status(tmp_path) is None


def test_the_status_is_written_only_when_it_changed(tmp_path):
    file, watch = StatusFile(tmp_path), Watch(tmp_path / "status.json")
    file.write(Status(7, 1.5), {})
    assert watch.changed()
    file.write(Status(7, 1.5), {})
    assert not watch.changed()
    file.write(Status(7, 1.5, weights={1: 100}), {})
    assert watch.changed()


def sample(at):
    return Sample(at, {1: 10}, {1: 0}, {1: 100})


def test_the_series_keeps_the_newest_lines_and_stays_bounded(tmp_path):
    series = Series(tmp_path, limit=5)
    lengths = []
    for at in range(23):
        series.append(sample(float(at)))
        lengths.append(len(read_series(tmp_path)))
    assert max(lengths) < 10
    assert [line["at"] for line in read_series(tmp_path)][-5:] == [18.0, 19.0, 20.0, 21.0, 22.0]
    Series(tmp_path)
    assert read_series(tmp_path) == [], "begun anew, as the counters are"


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    Series(tmp_path).append(sample(1.0))
    with (tmp_path / "series.jsonl").open("a") as file:
        file.write('{"at":2')
    assert [line["at"] for line in read_series(tmp_path)] == [1.0]


def test_a_sample_is_made_of_the_counts_and_of_the_monitors_answer(tmp_path):
    drift = {"version": "1", "features": {"age": {"distance": 0.2, "score": 1.5, "drifted": True}}}
    arm = ZERO.__class__(requests=7.0, errors=2.0)
    Series(tmp_path).append(Sample.of(1.0, {1: arm}, {1: 100}, drift))
    (line,) = read_series(tmp_path)
    assert line == {
        "at": 1.0,
        "requests": {"1": 7},
        "errors": {"1": 2},
        "weights": {"1": 100},
        "drift": {"age": {"distance": 0.2, "score": 1.5}},
        "drift_version": "1",
    }
    assert Sample.of(1.0, {}, {}, None).drift == {}
