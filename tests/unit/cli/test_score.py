"""score at the command line: partitions, the ledger's entry, going on with the version it began with, exit codes."""

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest
from click.testing import CliRunner

from loopwright import declaration, registry
from loopwright.cli.history import history
from loopwright.cli.pace import Pace
from loopwright.cli.score import score
from loopwright.errors import ContractError, DataError, OutputError, RegistryError
from loopwright.ledger import Ledger
from loopwright.models import bundle, columns, features, fit
from loopwright.registry import ModelVersion
from loopwright.statistics.profile import Profile


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_declaration):
    """A bundle of the small loop: its folder and its digest."""
    loop, random = declaration.parse(small_declaration), np.random.default_rng(5)
    plan = random.choice(["basic", "premium"], 1_000).astype(object)
    raw = {"age": random.integers(18, 90, 1_000).astype(float), "spend": random.gamma(2, 20, 1_000), "plan": plan}
    target = (raw["age"] + random.normal(0, 20, 1_000) > 60).astype(float)
    specs, inputs = features.fit_spec(raw), columns.specs(loop.inputs)
    matrix = features.encode(specs, raw)
    fitted = fit.fit("classification", "lightgbm", {"n_estimators": 10}, 7, matrix, specs, target)
    kinds = {spec.name: spec.kind for spec in inputs}
    profile = Profile.build("small", "classification", ("No", "Yes"), raw, kinds, fitted.estimator.predict(matrix))
    manifest = bundle.Manifest(
        loop="small", task="classification", estimator="lightgbm", classes=("No", "Yes"), inputs=inputs, features=specs
    )
    folder = tmp_path_factory.mktemp("bundles") / "one"
    return folder, bundle.write(folder, manifest, {**fitted.dump(), bundle.PROFILE: profile.to_json().encode()})


@pytest.fixture
def champion(monkeypatch, trained):
    """A stand-in for the registry with versions 1 and 2, of which the named one is champion."""
    folder, digest = trained
    now = {"champion": 1}

    class Registry:
        def __init__(self, settings):
            pass

        def versions(self, loop):
            at = datetime(2026, 11, 1, tzinfo=UTC)
            return [
                ModelVersion(one, digest, "", {}, "", at, ("champion",) if one == now["champion"] else ())
                for one in (1, 2)
            ]

        def get(self, loop, number):
            return self.versions(loop)[number - 1]

        def fetch(self, loop, version):
            return folder

    monkeypatch.setattr(registry, "Registry", Registry)
    return now


@pytest.fixture
def folder(small_folder, champion, monkeypatch):
    """The small loop, with 3,000 rows to score of which one breaks the contract; the current folder."""
    monkeypatch.delenv("LOOPWRIGHT_STATE", raising=False)
    monkeypatch.chdir(small_folder)
    random = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "customer": [f"c{row}" for row in range(3_000)],
            "age": random.integers(18, 90, 3_000),
            "spend": random.gamma(2, 20, 3_000),
            "plan": random.choice(["basic", "premium"], 3_000),
        }
    )
    frame.loc[4, "plan"] = "gold"
    frame.to_parquet("in.parquet", index=False)
    (small_folder / ".loopwright").mkdir()
    return small_folder


def run(*arguments):
    """The exit code and the JSON answer, or what was raised."""
    made = CliRunner().invoke(score, [".", *map(str, arguments), "--json"], standalone_mode=False)
    if made.exception is not None:
        raise made.exception
    return made.return_value, json.loads(made.output)


def entries(folder):
    return list(Ledger(f"sqlite:///{folder / '.loopwright' / 'ledger.db'}").entries("small"))


def test_the_champion_scores_and_the_ledger_has_it(folder) -> None:
    code, told = run("--input", "in.parquet", "--output", "out")
    assert (code, told["version"], told["state"], told["totals"]["scored"]) == (0, 1, "complete", 2_999)
    assert told["totals"]["drift"]["age"]["drifted"] is False
    assert ds.dataset("out").to_table()["customer"].to_pylist() == [f"c{row}" for row in range(3_000) if row != 4]
    (entry,) = entries(folder)
    assert (entry.kind, entry.facts["rows"], entry.facts["set_aside"]) == ("scored", 3_000, 1)
    said = CliRunner().invoke(history, ["."], standalone_mode=False).output
    assert "version 1 scored 2,999 rows of in.parquet into" in said


def test_drift_is_told_with_the_features_that_drifted(folder) -> None:
    pd.read_parquet("in.parquet").assign(spend=150.0).to_parquet("in.parquet", index=False)
    _, told = run("--input", "in.parquet", "--output", "out")
    assert next(iter(told["totals"]["drift"])) == "spend"
    assert next(one["name"] for one in entries(folder)[0].facts["drifted"]) == "spend"
    made = CliRunner().invoke(score, [".", "--input", "in.parquet", "--output", "out"], standalone_mode=False)
    assert "spend is far from the training data: distance 0." in made.output


def test_a_job_that_is_complete_is_told_again_and_recorded_once(folder, champion) -> None:
    run("--input", "in.parquet", "--output", "out")
    champion["champion"] = 2
    code, told = run("--input", "in.parquet", "--output", "out")
    assert (code, told["version"], told["seconds"]) == (0, 1, None)
    assert len(entries(folder)) == 1


def test_a_job_keeps_its_version_when_the_champion_changes_in_the_middle(folder, champion) -> None:
    run("--input", "in.parquet", "--output", "out", "--only", "begin")
    champion["champion"] = 2
    _, told = run("--input", "in.parquet", "--output", "out")
    assert told["version"] == 1
    assert set(ds.dataset("out").to_table()["model_version"].to_pylist()) == {1}
    with pytest.raises(OutputError, match=r"begun with another: the version \(1\)"):
        run("--version", 2, "--input", "in.parquet", "--output", "out")


@pytest.mark.parametrize("named", ["champion", "newest"])
def test_a_job_keeps_its_version_when_what_an_alias_names_changes_in_the_middle(folder, champion, named) -> None:
    run("--version", 1, "--input", "in.parquet", "--output", "out", "--only", "begin")
    champion["champion"] = 2
    assert run("--version", named, "--input", "in.parquet", "--output", "out", "--share", "0/1")[1]["version"] == 1
    assert run("--version", named, "--input", "in.parquet", "--output", "out", "--only", "end")[1]["version"] == 1
    with pytest.raises(RegistryError, match="is no version"):
        run("--version", "latest", "--input", "in.parquet", "--output", "out")


def test_a_job_that_is_complete_and_lost_a_partition_scores_it_again(folder) -> None:
    _, first = run("--input", "in.parquet", "--output", "out")
    (folder / "out" / first["partitions"][0]["file"]).unlink()
    code, told = run("--input", "in.parquet", "--output", "out")
    assert (code, told["partitions"], told["totals"]) == (0, first["partitions"], first["totals"])
    assert told["seconds"] is not None
    assert ds.dataset("out").to_table().num_rows == 2_999
    assert len(entries(folder)) == 1


def test_a_command_that_failed_before_its_first_partition_can_be_corrected(folder, monkeypatch) -> None:
    import sqlalchemy

    url = f"sqlite:///{folder / 'rows.db'}"
    pd.read_parquet("in.parquet").to_sql("customers", sqlalchemy.create_engine(url), index=False)
    monkeypatch.setenv("ROWS_URL", url)
    asked = ("--input", "ROWS_URL", "--output", "out", "--query")
    with pytest.raises(DataError):
        run(*asked, "SELECT * FROM customer")
    with pytest.raises(OutputError, match="begun with another: the input"):
        run(*asked, "SELECT * FROM customers", "--share", "0/1")
    assert run(*asked, "SELECT * FROM customers")[1]["totals"]["rows"] == 3_000
    with pytest.raises(OutputError, match="begun with another: the input"):
        run(*asked, "SELECT * FROM customers LIMIT 3")


def test_shares_of_a_job_are_scored_apart_and_summed_up_at_the_end(folder) -> None:
    frame = pd.read_parquet("in.parquet")
    (folder / "parts").mkdir()
    for at in range(3):
        frame.iloc[at * 1_000 : (at + 1) * 1_000].to_csv(f"parts/{at}.csv", index=False)
    asked = ("--input", "parts", "--output", "out")
    with pytest.raises(OutputError, match="nothing was begun"):
        run(*asked, "--share", "0/2")
    assert run(*asked, "--only", "begin")[1]["units"] == 3
    run(*asked, "--share", "0/2")
    with pytest.raises(OutputError, match="1 of 3 units are not scored yet"):
        run(*asked, "--only", "end")
    assert entries(folder) == []
    run(*asked, "--share", "1/2")
    _, told = run(*asked, "--only", "end")
    assert (told["state"], told["totals"]["rows"], len(told["partitions"])) == ("complete", 3_000, 3)
    assert len(entries(folder)) == 1


def test_more_rows_set_aside_than_the_loop_accepts_is_an_error_after_all_is_written(folder) -> None:
    pd.read_parquet("in.parquet").assign(plan="gold").to_parquet("in.parquet", index=False)
    code, told = run("--input", "in.parquet", "--output", "out")
    assert (code, told["exit_code"], told["totals"]["scored"]) == (3, 3, 0)
    made = CliRunner().invoke(score, [".", "--input", "in.parquet", "--output", "out"], standalone_mode=False)
    assert isinstance(made.exception, ContractError)
    assert "3,000 of 3,000 rows break the contract" in str(made.exception)


def test_rows_can_be_numbered_and_a_missing_id_column_is_named(folder) -> None:
    pd.read_parquet("in.parquet").drop(columns="customer").to_parquet("in.parquet", index=False)
    with pytest.raises(DataError, match="has no column customer"):
        run("--input", "in.parquet", "--output", "out")
    run("--input", "in.parquet", "--output", "out", "--id", "row")
    assert ds.dataset("out").to_table()["row"].to_pylist()[:5] == [0, 1, 2, 3, 5]


def test_an_output_that_is_there_and_a_version_that_is_not_are_refused(folder, champion) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty"):
        run("--input", "in.parquet", "--output", "out")
    champion["champion"] = 0
    with pytest.raises(RegistryError, match="has no champion"):
        run("--input", "in.parquet", "--output", "new")


@pytest.mark.parametrize(
    ("input", "output"),
    [("in1", "in1/out"), ("./in1/", "in1/a/out"), ("in*/**/*.parquet", "in1/out"), ("in1/**", "in1/out")],
)
def test_an_output_that_the_input_includes_is_refused_before_anything_is_written(folder, input, output) -> None:
    (folder / "in1").mkdir()
    (folder / "in.parquet").rename(folder / "in1" / "rows.parquet")
    with pytest.raises(OutputError, match="is a part of the input"):
        run("--input", input, "--output", output)
    assert [path.name for path in (folder / "in1").iterdir()] == ["rows.parquet"]


def test_an_output_beside_the_files_that_a_glob_names_is_none_of_them(folder) -> None:
    assert run("--input", "*.parquet", "--output", "out")[0] == 0
    assert run("--input", "*.parquet", "--output", "out")[0] == 0


def test_an_input_that_changes_while_it_is_scored_is_told(folder, monkeypatch) -> None:
    from loopwright.scoring import workers

    score_them = workers.score

    def meanwhile(*arguments):
        score_them(*arguments)
        pd.read_parquet("in.parquet").head(100).to_parquet("in.parquet", index=False)

    monkeypatch.setattr(workers, "score", meanwhile)
    with pytest.raises(OutputError, match=r"in\.parquet changed while it was scored"):
        run("--input", "in.parquet", "--output", "out")
    assert entries(folder) == []


def test_a_query_is_scored(folder, monkeypatch) -> None:
    import sqlalchemy

    url = f"sqlite:///{folder / 'rows.db'}"
    pd.read_parquet("in.parquet").to_sql("customers", sqlalchemy.create_engine(url), index=False)
    monkeypatch.setenv("ROWS_URL", url)
    query = "SELECT * FROM customers WHERE age < 40 ORDER BY customer"
    _, told = run("--input", "ROWS_URL", "--query", query, "--output", "out")
    assert told["totals"]["rows"] == (pd.read_parquet("in.parquet")["age"] < 40).sum()
    assert url not in json.dumps(told)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_where_there_is_no_terminal_a_line_tells_rate_and_time_left(capsys) -> None:
    from rich.console import Console

    clock = Clock()
    with Pace(Console(soft_wrap=True, highlight=False), 1_000, 200, clock) as pace:
        for _ in range(3):
            clock.now += 5
            pace.add(100)
        assert pace.seconds == 15
    assert capsys.readouterr().out == "400 of 1,000 rows, 20 rows/s, 30s left\n"


def test_the_pods_of_a_workflow_do_the_job_together(folder, monkeypatch, capsys, small_declaration) -> None:
    from loopwright.cli import score_pod
    from loopwright.engines import argo_objects, argo_scoring

    (folder / "many").mkdir()
    for at in range(3):
        pd.read_parquet("in.parquet").iloc[at::3].to_parquet(f"many/{at}.parquet", index=False)
    monkeypatch.setenv("LOOPWRIGHT_STATE", str(folder / ".loopwright"))
    loop = declaration.parse(small_declaration)
    asked = ("--input", str(folder / "many"), "--output", str(folder / "out"))
    template = argo_objects.template(argo_objects.Place("image"))
    made = argo_scoring.spec(argo_scoring.Scoring(loop, "", asked, 8), template)
    monkeypatch.setenv("LOOPWRIGHT_REQUEST", made["arguments"]["parameters"][0]["value"])
    given = {one["name"]: one["container"]["args"] for one in made["templates"][1:]}
    own = ["--folder", str(folder / "pod"), "--outputs", str(folder / "small-files")]
    assert score_pod.main([*given["begin"], *own]) == 0
    shares = json.loads((folder / "small-files" / "shares").read_text())
    assert shares == ["0/3", "1/3", "2/3"]
    assert score_pod.main([*given["end"], *own]) == 14
    assert "units are not scored yet" in capsys.readouterr().err
    for share in shares:
        filled = [one.replace("{{inputs.parameters.share}}", share) for one in given["share"]]
        assert score_pod.main([*filled, *own]) == 0
    assert score_pod.main([*given["end"], *own]) == 0
    assert ds.dataset("out").to_table().num_rows == 2_999
    assert len(entries(folder)) == 1


def test_a_pod_that_was_asked_for_nothing_says_so(monkeypatch, tmp_path, capsys) -> None:
    from loopwright.cli import score_pod

    monkeypatch.delenv("LOOPWRIGHT_REQUEST", raising=False)
    assert score_pod.main(["--output", "x", "--folder", str(tmp_path)]) == 2
    assert "LOOPWRIGHT_REQUEST is not what a job is asked for by" in capsys.readouterr().err


def test_a_pod_is_given_no_relative_path_and_each_day_of_a_schedule_an_output_of_its_own(folder) -> None:
    import click

    asked = ("--engine", "argo", "--input", "s3://lake/rows")
    with pytest.raises(click.BadParameter, match="out is relative"):
        run(*asked, "--output", "out")
    with pytest.raises(click.BadParameter, match="needs an output of its own"):
        run(*asked, "--output", "s3://lake/out", "--schedule", "0 3 * * *")
    with pytest.raises(click.BadParameter, match="needs --engine argo"):
        run("--input", "in.parquet", "--output", "out", "--schedule", "0 3 * * *")
    with pytest.raises(click.BadParameter, match="needs an output of its own"):
        run("--engine", "kfp", "--input", "s3://in", "--output", "s3://out", "--schedule", "0 3 * * *")


def test_the_output_may_name_the_day(folder) -> None:
    run("--input", "in.parquet", "--output", "out-{date}")
    (made,) = folder.glob("out-*")
    assert datetime.strptime(made.name, "out-%Y-%m-%d").date() <= datetime.now(UTC).date()


@pytest.mark.parametrize("engine", ["local", "argo", "kfp"])
@pytest.mark.parametrize(
    "asked",
    [
        ("--input", "postgresql://u:hunter2@h/db", "--query", "SELECT 1", "--output", "s3://lake/out"),
        ("--input", "postgresql://u:hunter2@h/db", "--output", "s3://lake/out"),
        ("--input", "https://u:hunter2@h/x.csv", "--output", "s3://lake/out"),
        ("--input", "s3://lake/in", "--output", "s3://AKIA:hunter2@lake/out"),
        ("--input", "s3://lake/in", "--output", "s3://AKIA:hunter2/more@lake/out"),
    ],
)
def test_a_password_in_a_url_goes_nowhere(folder, monkeypatch, engine, asked) -> None:
    from loopwright.cli import score_cluster

    given = []
    monkeypatch.setattr(score_cluster, "submit", lambda *all_of: given.append(all_of))
    monkeypatch.setattr(score_cluster, "submit_to_kubeflow", lambda *all_of: given.append(all_of))
    made = CliRunner().invoke(score, [".", "--engine", engine, *asked])
    assert made.exit_code == 2
    assert "Invalid value for --" in made.output
    assert "hunter2" not in made.output
    assert given == []


def test_an_id_of_a_query_that_is_text_after_25_000_numbers_is_text(folder, monkeypatch) -> None:
    import sqlalchemy

    url = f"sqlite:///{folder / 'rows.db'}"
    rows = pd.concat([pd.read_parquet("in.parquet")] * 9, ignore_index=True).assign(plan="basic")
    rows["customer"] = [number if number < 25_000 else f"c{number}" for number in range(27_000)]
    rows.to_sql("customers", sqlalchemy.create_engine(url), index=False, dtype={"customer": sqlalchemy.Integer()})
    monkeypatch.setenv("ROWS_URL", url)
    run("--input", "ROWS_URL", "--query", "SELECT * FROM customers ORDER BY rowid", "--output", "out")
    assert ds.dataset("out").to_table()["customer"].to_pylist() == [str(one) for one in rows["customer"]]


def test_where_every_row_was_set_aside_drift_is_not_blamed_on_the_profile(folder) -> None:
    pd.read_parquet("in.parquet").assign(plan="gold").to_parquet("in.parquet", index=False)
    said = CliRunner().invoke(score, [".", "--input", "in.parquet", "--output", "out"]).output
    assert "drift was not looked at: no row was scored" in said


def test_a_pod_tells_what_is_wrong_with_its_options_without_a_traceback(monkeypatch, folder, capsys, small) -> None:
    from loopwright.cli import score_pod

    monkeypatch.setenv("LOOPWRIGHT_REQUEST", json.dumps({"loop": json.loads(small.to_json())}))
    given = ["--input", "in.parquet", "--output", "out", "--folder", str(folder / "pod")]
    assert score_pod.main([*given, "--share", "9/3"]) == 2
    assert "'9/3' is no share" in capsys.readouterr().err
    assert score_pod.main([*given, "--no-such-option"]) == 2
    assert "--no-such-option" in capsys.readouterr().err


def test_a_loop_without_a_champion_is_told_what_can_be_scored_with(folder, champion) -> None:
    champion["champion"] = 0
    with pytest.raises(RegistryError, match=r"@newest.*promote.*rollout"):
        run("--input", "in.parquet", "--output", "out")


def test_with_explanations_partitions_are_small_and_stay_what_they_were_when_the_job_began(folder, monkeypatch) -> None:
    from loopwright.scoring import job

    monkeypatch.setattr(job, "EXPLAINED_ROWS", 2_000)
    asked = ("--input", "in.parquet", "--output", "out", "--explain", "1")
    run(*asked, "--only", "begin")
    monkeypatch.setattr(job, "EXPLAINED_ROWS", 500)
    assert len(run(*asked)[1]["partitions"]) == 2
    assert len(run(*asked[:-2], "--output", "plain")[1]["partitions"]) == 1
