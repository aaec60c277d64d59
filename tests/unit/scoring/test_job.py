"""A job from its input to its partitions: what is in them, what is set aside, and going on where it stopped."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from loopwright.errors import DataError, OutputError, RunError
from loopwright.loop.source import Source
from loopwright.models import bundle as bundles
from loopwright.models import columns as inputs_of
from loopwright.models import features, fit
from loopwright.models.model import Model, load
from loopwright.scoring import begin, counts, manifest, workers
from loopwright.scoring.job import columns_of
from loopwright.scoring.output import Output
from loopwright.scoring.plan import plan
from loopwright.statistics.profile import Profile

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def began(job, source, root):
    output = Output(job.output)
    needed = columns_of(job.loop, bundles.read(job.bundle), job.id)
    return begin.begin(job, plan(source, root, needed, job.part_rows), output, manifest.read(output), NOW)


def run(job, source, root, workers_=1, stop_after=None):
    """Score what is left, and sum it up; with `stop_after` so many parts, and then an error as of a kill."""
    started = began(job, source, root)
    receipts = dict(started.done)
    told = []

    def tell(receipt):
        receipts[receipt.unit, receipt.part] = receipt
        told.append((receipt.unit, receipt.part))
        if len(told) == stop_after:
            raise KeyboardInterrupt

    workers.score(started.job, started.left(), started.done, tell, workers_)
    ended = begin.end(started, receipts.values(), None)
    manifest.write(started.output, ended)
    return ended, told


def done(job):
    output = Output(job.output)
    return manifest.receipts(output, manifest.read(output).job)


def read(job):
    return ds.dataset(job.output).to_table().to_pandas()


def expected(job, frame):
    model = load(job.bundle)
    good = frame.drop(index=[10, 11, 12, 13])
    raw = inputs_of.from_frame(model.inputs, good[[spec.name for spec in model.inputs]])
    return good["customer"].to_numpy(), model.predict(raw)


def test_each_row_has_its_prediction_and_those_that_break_the_contract_are_set_aside(job, parquet, frame) -> None:
    ended, _ = run(job, str(parquet), parquet.parent)
    found, (customers, predictions) = read(job), expected(job, frame)
    assert found["customer"].tolist() == customers.tolist()
    np.testing.assert_allclose(found["prediction"], predictions, rtol=1e-12)
    assert (found["decision"] == np.where(predictions >= 0.5, "Yes", "No")).all()
    assert set(found["model_version"]) == {7}
    aside = ds.dataset(f"{job.output}/{manifest.HOME}/aside").to_table().to_pandas()
    assert aside["loopwright_row"].tolist() == [10, 11, 12, 13]
    assert aside["loopwright_reasons"].tolist() == [
        "age: max (at most 90)", "plan: values (one of basic, premium)", "spend: min (at least 0)",
        "age: missing (a value in every row)",
    ]  # fmt: skip
    assert (ended.totals["rows"], ended.totals["scored"], ended.totals["set_aside"]) == (5_000, 4_996, 4)
    for part in ended.partitions:
        content = Output(job.output).get(part["file"])
        assert hashlib.sha256(content).hexdigest() == part["sha256"]


def test_rows_are_counted_into_the_profile_as_the_monitor_counts_them(job, parquet, frame) -> None:
    run(job, str(parquet), parquet.parent)
    found = counts.together(one.counts for one in done(job).values())
    bundle = bundles.read(job.bundle)
    profile, good = Profile.from_json(bundle.contents[bundles.PROFILE]), frame.drop(index=[10, 11, 12, 13])
    raw = inputs_of.from_frame(Model(bundle).inputs, good[["age", "spend", "plan"]])
    predictions = Model(bundle).predict(raw)
    for name, one in profile.count(raw).items():
        assert found[name].tolist() == one.tolist()
    assert found["predicted_class"].tolist() == profile.count_classes(profile.decide(predictions)).tolist()
    assert found[counts.PREDICTION].tolist() == profile.count_predictions(predictions).tolist()
    assert found[counts.EVENTS].tolist() == [4_996]


@pytest.mark.parametrize("kind", ["parquet", "csv", "python", "one row group"])
def test_a_job_that_was_interrupted_goes_on_and_scores_nothing_twice(job, parquet, frame, kind) -> None:
    root, source = parquet.parent, str(parquet)
    if kind == "csv":
        source = str(root / "in.csv")
        frame.to_csv(source, index=False)
    elif kind == "one row group":
        frame.to_parquet(source, index=False)
    elif kind == "python":
        (root / "rows_of.py").write_text(f"import pandas\ndef rows():\n    return pandas.read_parquet({source!r})\n")
        source = Source(python="rows_of:rows")
    with pytest.raises(KeyboardInterrupt):
        run(job, source, root, stop_after=2)
    first = {path: path.stat().st_mtime_ns for path in (root / "out").glob("part-*")}
    assert len(first) == 2
    ended, told = run(job, source, root)
    assert len(told) == 3
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert len(ended.partitions) == 5
    assert read(job)["customer"].tolist() == expected(job, frame)[0].tolist()


def test_a_partition_that_is_gone_is_scored_again(job, parquet) -> None:
    run(job, str(parquet), parquet.parent)
    gone = parquet.parent / "out" / "part-00002-00000.parquet"
    gone.unlink()
    assert done(job).keys() == {(0, 0), (1, 0), (3, 0), (4, 0)}
    assert run(job, str(parquet), parquet.parent)[1] == [(2, 0)]
    assert gone.exists()


def test_a_query_that_gives_other_rows_the_second_time_is_refused(job, parquet, frame) -> None:
    root = parquet.parent
    code = "import pandas\ndef rows():\n    return pandas.read_parquet({!r}){}\n"
    (root / "moving.py").write_text(code.format(str(parquet), ""))
    with pytest.raises(KeyboardInterrupt):
        run(job, Source(python="moving:rows"), root, stop_after=2)
    (root / "moving.py").write_text(code.format(str(parquet), "[::-1]"))
    with pytest.raises(OutputError, match="gives other rows than when part 0 was scored"):
        run(job, Source(python="moving:rows"), root)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"version": 8}, "the version"), ({"explain": 2}, "--explain"), ({"id": None}, "the id column")],
)
def test_another_job_is_not_mixed_into_an_output(job, parquet, change, said) -> None:
    run(job, str(parquet), parquet.parent)
    with pytest.raises(OutputError, match=said):
        began(replace(job, **change), str(parquet), parquet.parent)


def test_of_two_jobs_that_begin_at_once_one_has_the_output(job, parquet) -> None:
    output = Output(job.output)
    planned = plan(str(parquet), parquet.parent, columns_of(job.loop, bundles.read(job.bundle), job.id), job.part_rows)
    # Both looked when there was nothing yet.
    first = begin.begin(job, planned, output, None, NOW)
    same = begin.begin(job, planned, output, None, NOW)
    assert same.manifest == first.manifest == manifest.read(output)
    with pytest.raises(OutputError, match="begun with another: the version"):
        begin.begin(replace(job, version=8), planned, output, None, NOW)


def test_parts_of_another_job_do_not_count_and_are_written_over(job, parquet) -> None:
    run(replace(job, version=6), str(parquet), parquet.parent)
    (parquet.parent / "out" / manifest.MANIFEST).unlink()
    planned = plan(str(parquet), parquet.parent, columns_of(job.loop, bundles.read(job.bundle), job.id), job.part_rows)
    begin.begin(job, planned, Output(job.output), None, NOW)
    assert len(run(job, str(parquet), parquet.parent)[1]) == 5
    assert set(read(job)["model_version"]) == {7}


def test_a_job_that_has_written_nothing_may_be_replaced_and_then_writes_nothing(job, parquet) -> None:
    first = began(job, str(parquet), parquet.parent)
    other, output = replace(job, version=8), Output(job.output)
    known = manifest.read(output)
    with pytest.raises(OutputError, match="the version"):
        begin.begin(other, first.plan, output, known, NOW)
    second = begin.begin(other, first.plan, output, known, NOW, anew=True)
    assert manifest.read(output) == second.manifest
    with pytest.raises(OutputError, match="was begun anew"):
        workers.score(first.job, first.left(), first.done, lambda receipt: None)
    with pytest.raises(OutputError, match="was begun anew"):
        begin.end(first, [], None)
    assert not list((parquet.parent / "out").glob("part-*"))
    workers.score(second.job, second.left(), second.done, lambda receipt: None)
    with pytest.raises(OutputError, match="the version"):
        begin.begin(job, first.plan, output, manifest.read(output), NOW, anew=True)


def test_another_input_is_not_mixed_into_an_output(job, parquet, frame) -> None:
    run(job, str(parquet), parquet.parent)
    frame.head(4_000).to_parquet(parquet, index=False)
    with pytest.raises(OutputError, match="the input's files"):
        began(job, str(parquet), parquet.parent)


def test_without_an_entity_rows_are_numbered_in_their_file(job, parquet, frame) -> None:
    folder = parquet.parent / "two"
    folder.mkdir()
    frame.head(2_500).to_parquet(folder / "a.parquet", index=False, row_group_size=1_000)
    frame.tail(2_500).to_csv(folder / "b.csv", index=False)
    run(replace(job, id=None), str(folder), parquet.parent)
    found = read(job)
    assert found["row"].tolist() == [row for row in range(2_500) if row not in (10, 11, 12, 13)] + list(range(2_500))
    assert found["file"].str.endswith("a.parquet").sum() == 2_496


def test_explanations_name_the_features_that_add_most(job, parquet, frame) -> None:
    run(replace(job, explain=2), str(parquet), parquet.parent)
    model, told = load(job.bundle), read(job)["explanations"]
    raw = inputs_of.from_frame(model.inputs, frame[["age", "spend", "plan"]].head(1))
    parts = model.estimator.predict(model.matrix(raw), pred_contrib=True)[0, :-1]
    names = [spec.name for spec in model.manifest.features]
    best = np.argsort(-np.abs(parts))[:2]
    assert [one["feature"] for one in told[0]] == [names[at] for at in best]
    assert [one["contribution"] for one in told[0]] == pytest.approx(parts[best].tolist())


def test_a_partition_of_which_all_rows_were_set_aside_is_there_without_rows(job, parquet, frame) -> None:
    frame.assign(age=200.0).head(1_500).to_parquet(parquet, index=False, row_group_size=1_000)
    ended, _ = run(job, str(parquet), parquet.parent)
    assert ended.totals["scored"] == 0
    found = read(job)
    assert (len(found), list(found)) == (0, ["customer", "model_version", "prediction", "decision"])


def test_a_regression_has_values_and_no_decisions(job, parquet, frame, loop, tmp_path) -> None:
    raw = {"age": frame["age"].fillna(50).to_numpy(), "spend": frame["spend"].fillna(1).to_numpy()}
    raw["plan"] = frame["plan"].to_numpy(dtype=object)
    specs = features.fit_spec(raw)
    matrix = features.encode(specs, raw)
    fitted = fit.fit("regression", "linear_regression", {}, 7, matrix, specs, raw["age"] * 3)
    inputs = inputs_of.specs(loop.inputs)
    made = bundles.Manifest(loop="small", task="regression", estimator="linear", inputs=inputs, features=specs)
    digest = bundles.write(tmp_path / "other", made, fitted.dump())
    run(replace(job, bundle=tmp_path / "other", digest=digest), str(parquet), parquet.parent)
    found = read(job)
    assert list(found) == ["customer", "model_version", "prediction"]
    good = frame.drop(index=[10, 11, 12, 13])
    np.testing.assert_allclose(found["prediction"], good["age"] * 3, rtol=1e-9)
    assert {one.counts for one in done(job).values() if one.counts} == set()


def test_of_three_classes_each_has_its_probability(job, parquet, frame, loop, tmp_path) -> None:
    import lightgbm

    raw = inputs_of.from_frame(inputs_of.specs(loop.inputs), frame[["age", "spend", "plan"]])
    specs = features.fit_spec(raw)
    matrix = features.encode(specs, raw)
    target = np.digitize(frame["age"].fillna(50), [40, 65])
    options = {"objective": "multiclass", "num_class": 3, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(options, lightgbm.Dataset(matrix, target), num_boost_round=10)
    made = bundles.Manifest(
        loop="small", task="classification", estimator="lightgbm", classes=("low", "middle", "high"),
        inputs=inputs_of.specs(loop.inputs), features=specs,
    )  # fmt: skip
    kinds = {spec.name: spec.kind for spec in inputs_of.specs(loop.inputs)}
    expected = booster.predict(matrix)
    best, places = expected.max(axis=1), expected.argmax(axis=1)
    profile = Profile.build("small", "classification", made.classes, raw, kinds, best, decided=places)
    content = {bundles.LIGHTGBM: booster.model_to_string().encode(), bundles.PROFILE: profile.to_json().encode()}
    digest = bundles.write(tmp_path / "other", made, content)
    run(replace(job, bundle=tmp_path / "other", digest=digest, explain=1), str(parquet), parquet.parent)
    found, good = read(job), np.delete(np.arange(len(frame)), [10, 11, 12, 13])
    np.testing.assert_allclose(found["prediction"], best[good], rtol=1e-12)
    assert (found["decision"] == np.array(made.classes)[places[good]]).all()
    for at, name in enumerate(made.classes):
        each = [one[name] for one in found["probabilities"]]
        np.testing.assert_allclose(each, expected[good, at], rtol=1e-12)
    assert {told[0]["feature"] for told in found["explanations"]} == {"age"}
    total = counts.together(one.counts for one in done(job).values())
    assert total["predicted_class"].tolist() == [0, 0, *np.bincount(places[good])]


def test_an_id_column_that_would_hide_a_prediction_is_refused(job, parquet, frame) -> None:
    frame.rename(columns={"customer": "prediction"}).to_parquet(parquet, index=False)
    with pytest.raises(DataError, match="the id column is called prediction"):
        run(replace(job, id="prediction"), str(parquet), parquet.parent)


@pytest.mark.long
def test_two_workers_write_what_one_writes(job, parquet) -> None:
    one, _ = run(job, str(parquet), parquet.parent)
    two, _ = run(replace(job, output=f"{job.output}2"), str(parquet), parquet.parent, workers_=2)
    assert one.partitions == two.partitions
    assert one.totals == two.totals


@pytest.mark.long
def test_a_worker_that_is_killed_ends_the_job_and_what_is_done_stays(job, parquet) -> None:
    started = began(job, str(parquet), parquet.parent)
    killed = []

    def tell(receipt):
        import multiprocessing

        killed.append(receipt)
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(RunError, match="a worker was killed \\(signal 9\\)"):
        workers.score(started.job, started.left(), started.done, tell, 2)
    assert len(done(job)) >= len(killed) >= 1
    ended, _ = run(job, str(parquet), parquet.parent)
    assert ended.totals["rows"] == 5_000


@pytest.mark.long
def test_an_error_in_a_worker_is_told_as_it_is(job, parquet) -> None:
    started = began(job, str(parquet), parquet.parent)
    (parquet.parent / "out").rename(parquet.parent / "elsewhere")
    (parquet.parent / "out").write_text("a file where the folder was")
    with pytest.raises(OutputError, match="cannot be written"):
        workers.score(started.job, started.left(), started.done, lambda receipt: None, 2)


def test_a_full_disk_is_told_and_nothing_half_written_is_left(job, parquet) -> None:
    started = began(job, str(parquet), parquet.parent)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, limit[1]))
    try:
        with pytest.raises(OutputError, match="cannot be written: File too large"):
            workers.score(started.job, started.left(), started.done, lambda receipt: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    left = {path.name for path in (parquet.parent / "out").rglob("*") if path.is_file()}
    assert left == {"manifest.json", "00000-00000.parquet"}  # the rows that were set aside; no partition, no temporary
    assert run(job, str(parquet), parquet.parent)[0].totals["rows"] == 5_000


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_input(job, parquet, frame) -> None:
    """Peak memory of twenty times as many rows, in one row group: within a quarter, 60 MB of which are arrow's pool."""
    code = textwrap.dedent("""
        import json, re, sys
        from pathlib import Path
        from tests.unit.scoring import test_job
        from loopwright import declaration
        from loopwright.scoring.job import Job
        loop = declaration.parse(Path(sys.argv[1]).read_text())
        job = Job(loop, Path(sys.argv[2]), sys.argv[3], 7, sys.argv[4], "customer", part_rows=20_000)
        test_job.run(job, sys.argv[5], Path("/"))
        # getrusage would count what this process had before it was this program.
        print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    """)
    peaks = []
    for times in (2, 40):
        many = pd.concat([frame] * times, ignore_index=True)
        many.assign(**{f"c{at}": np.arange(len(many)) * 0.1 for at in range(5)}).to_parquet(parquet, index=False)
        declared = parquet.parent / "loop.yaml"
        declared.write_text(json.dumps(job.loop.model_dump(mode="json", exclude_none=True, exclude_defaults=True)))
        made = subprocess.run(
            [sys.executable, "-c", code, str(declared), str(job.bundle), job.digest, f"{job.output}{times}", parquet],
            check=False, capture_output=True, text=True, cwd=os.environ.get("PWD") or ".",
        )  # fmt: skip
        assert made.returncode == 0, made.stderr[-2000:]
        peaks.append(int(made.stdout))
    assert peaks[1] < 1.25 * peaks[0]


def test_lists_and_views_of_text_are_set_aside_as_other_values_are(job, parquet, frame) -> None:
    table = pa.Table.from_pandas(frame.head(100), preserve_index=False)
    views = table.set_column(0, "customer", table["customer"].cast(pa.string_view()))
    pq.write_table(views.set_column(3, "plan", table["plan"].cast(pa.string_view())), parquet)
    assert run(job, str(parquet), parquet.parent)[0].totals["set_aside"] == 4
    lists = pa.array([[plan] for plan in frame["plan"].head(100)])
    pq.write_table(table.set_column(3, "plan", lists), parquet)
    other = replace(job, output=f"{job.output}-lists")
    assert run(other, str(parquet), parquet.parent)[0].totals["broken"]["plan: values"] == 100
