"""labels send and join at the command line: from files and SQL, to a monitor or to numbers."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loopwright.archive.layout import Key
from loopwright.cli.labels import labels
from loopwright.errors import DataError, DeclarationError, ServingError


@pytest.fixture
def folder(tmp_path, churn_declaration, monkeypatch):
    """A loop, 200 predictions of it, and their labels as CSV."""
    monkeypatch.delenv("LOOPWRIGHT_STATE", raising=False)
    (tmp_path / "loop.yaml").write_text(churn_declaration)
    rng = np.random.default_rng(1)
    probability = rng.random(200)
    ids = [f"p{number}" for number in range(200)]
    pd.DataFrame({"prediction_id": ids, "model_version": "3", "prediction": probability}).to_parquet(
        tmp_path / "served.parquet"
    )
    truth = np.where(rng.random(200) < probability, "true", "false")
    pd.DataFrame({"prediction_id": [*ids, "other"], "churned": [*truth, "true"]}).to_csv(
        tmp_path / "outcomes.csv", index=False
    )
    return tmp_path


def answer(capsys, *arguments):
    labels.main([str(one) for one in arguments], standalone_mode=False)
    return capsys.readouterr().out


def test_labels_of_a_file_are_joined_with_predictions_and_measured(folder, capsys):
    common = ("join", folder, "--labels", "outcomes.csv", "--predictions", "served.parquet")
    found = json.loads(answer(capsys, *common, "--to", folder / "joined.parquet", "--json"))
    assert (found["joined"], found["labels"], found["unknown"], found["unlabelled"]) == (200, 201, 1, 0)
    assert 0.6 < found["versions"]["3"]["metrics"]["roc_auc"]["value"] < 1
    assert len(pd.read_parquet(folder / "joined.parquet")) == 200
    assert "version 3: 200 rows" in answer(capsys, *common)


def test_labels_of_a_database_are_the_same(folder, capsys):
    with sqlite3.connect(folder / "labels.db") as database:
        pd.read_csv(folder / "outcomes.csv").to_sql("outcomes", database)
    common = ("join", folder, "--predictions", "served.parquet", "--json")
    url, query = f"sqlite:///{folder}/labels.db", "SELECT prediction_id, churned FROM outcomes"
    found = json.loads(answer(capsys, *common, "--labels", url, "--query", query))
    assert found["joined"] == 200
    with pytest.raises(DataError, match="the labels' query failed: no such table"):
        answer(capsys, *common, "--labels", url, "--query", "SELECT a FROM nowhere")
    with pytest.raises(DataError, match="the query gives no column churned"):
        answer(capsys, *common, "--labels", url, "--query", "SELECT prediction_id FROM outcomes")
    with pytest.raises(DataError, match="a database needs a query"):
        answer(capsys, *common, "--labels", url)


def test_the_password_of_a_database_is_not_told(folder, capsys):
    where = ("--predictions", "served.parquet", "--labels", "nothing://me:secret@host/db")
    with pytest.raises(DataError) as error:
        answer(capsys, "join", folder, *where, "--query", "SELECT 1")
    assert "secret" not in str(error.value)


def test_archived_predictions_of_a_window_are_joined(folder, capsys):
    with (folder / "loop.yaml").open("a") as file:
        file.write("monitor: {archive: {url: kept}, performance: {slices: [plan]}}")
    nine = datetime(2025, 11, 20, 9, tzinfo=UTC)
    for hour in (0, 1):
        first = nine + timedelta(hours=hour)
        served = pd.read_parquet(folder / "served.parquet").iloc[100 * hour : 100 * hour + 100]
        table = pa.table(
            {
                "prediction_id": pa.array(served["prediction_id"]),
                "received_at": pa.array([first] * 100, pa.timestamp("us", tz="UTC")),
                "prediction": pa.array(served["prediction"]),
                "plan": ["basic", "premium"] * 50,
            }
        )
        path = folder / ".loopwright" / "kept" / Key.new("churn", "3", first, 100).path
        path.parent.mkdir(parents=True)
        pq.write_table(table, path)
    common = ("join", folder, "--labels", "outcomes.csv", "--json")
    found = json.loads(answer(capsys, *common, "--start", "2025-11-20T10:00"))
    assert (found["joined"], found["unknown"], found["unlabelled"]) == (100, 101, 0)
    assert found["versions"]["3"]["slices"]["plan"]["basic"]["rows"] == 50
    assert json.loads(answer(capsys, *common))["joined"] == 200


def test_without_an_archive_or_a_file_there_are_no_predictions(folder, capsys):
    with pytest.raises(DeclarationError, match="churn keeps no events"):
        answer(capsys, "join", folder, "--labels", "outcomes.csv")


def test_a_join_by_entity_needs_one(folder, capsys):
    with pytest.raises(DataError, match=r"data\.entity"):
        answer(capsys, "join", folder, "--labels", "outcomes.csv", "--by", "entity", "--predictions", "served.parquet")


@pytest.fixture
def heard(monkeypatch):
    """What a monitor that knows all predictions but one is sent: paths, tokens and labels."""
    import httpx

    sent = []

    def monitor(request):
        sent.append((request.url.path, request.headers["Authorization"], json.loads(request.content)["labels"]))
        number = len(sent[-1][2])
        return httpx.Response(200, json={"joined": number - 1, "unknown": 1, "repeated": 0, "contradicting": 0})

    client = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **options: client(transport=httpx.MockTransport(monitor), **options))
    monkeypatch.setenv("LOOPWRIGHT_TOKEN", "t")
    return sent


@pytest.fixture
def by_entity(folder):
    """The same loop with entities, of which archived events say nothing, but requests.csv does."""
    declared = (folder / "loop.yaml").read_text().replace("\ndata:", "\ndata:\n  entity: customer\n  timestamp: seen")
    (folder / "loop.yaml").write_text(declared + "monitor: {archive: {url: kept}}")
    first = datetime(2025, 11, 20, 9, tzinfo=UTC)
    served = pd.read_parquet(folder / "served.parquet")
    predicted = [first + timedelta(seconds=number) for number in range(200)]
    moment = pa.timestamp("us", tz="UTC")
    table = pa.table(
        {
            "prediction_id": pa.array(served["prediction_id"]),
            "received_at": pa.array(predicted, moment),
            "predicted_at": pa.array(predicted, moment),
            "prediction": pa.array(served["prediction"]),
        }
    )
    path = folder / ".loopwright" / "kept" / Key.new("churn", "3", first, 200).path
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    customers = [f"C-{number}" for number in range(200)]
    requests = pd.DataFrame({"prediction_id": served["prediction_id"], "customer": customers})
    # Of the last ten nobody knows whose they were.
    requests.iloc[:190].to_csv(folder / "requests.csv", index=False)
    truth = pd.read_csv(folder / "outcomes.csv")["churned"].iloc[:200]
    seen = [f"{one + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}" for one in predicted]
    pd.DataFrame({"customer": customers, "seen": seen, "churned": truth}).to_csv(folder / "truth.csv", index=False)
    return folder


def test_labels_by_entity_are_joined_with_archived_predictions_whose_entity_the_caller_knows(by_entity, capsys):
    common = ("join", by_entity, "--labels", "truth.csv", "--by", "entity", "--json")
    found = json.loads(answer(capsys, *common, "--ids", "requests.csv"))
    assert (found["joined"], found["unknown"], found["unlabelled"]) == (190, 10, 10)
    by_id = json.loads(answer(capsys, "join", by_entity, "--labels", "outcomes.csv", "--json"))
    area = found["versions"]["3"]["metrics"]["roc_auc"]["value"]
    assert area == pytest.approx(by_id["versions"]["3"]["metrics"]["roc_auc"]["value"], abs=0.05)
    assert json.loads(answer(capsys, *common, "--ids", "requests.csv", "--within", "1m"))["joined"] == 0
    # Without a word of whose they were, the id is the entity: here it is not.
    assert json.loads(answer(capsys, *common))["joined"] == 0


def test_labels_by_entity_are_sent_under_the_ids_that_a_monitor_knows(by_entity, capsys, heard):
    common = ("send", by_entity, "--labels", "truth.csv", "--by", "entity", "--ids", "requests.csv")
    found = json.loads(answer(capsys, *common, "--to", "http://m:1", "--json"))
    assert (found["labels"], found["joined"]) == (190, 189)
    ((_, _, sent),) = heard
    outcomes = pd.read_csv(by_entity / "outcomes.csv").set_index("prediction_id")["churned"]
    assert {one["id"]: str(one["label"]) for one in sent} == outcomes.iloc[:190].map(str).to_dict()


def test_labels_are_sent_in_messages_with_the_token(folder, capsys, monkeypatch, heard):
    from loopwright.cli import labels as module

    monkeypatch.setattr(module, "A_MESSAGE", 150)
    found = json.loads(answer(capsys, "send", folder, "--labels", "outcomes.csv", "--to", "http://m:1/", "--json"))
    assert found == {"labels": 201, "joined": 199, "unknown": 2, "repeated": 0, "contradicting": 0}
    assert [(path, token, len(sent)) for path, token, sent in heard] == [
        ("/v1/labels", "Bearer t", 150),
        ("/v1/labels", "Bearer t", 51),
    ]


def test_a_monitor_that_is_not_there_is_told(folder, capsys):
    with pytest.raises(ServingError, match=r"the monitor at http://127\.0\.0\.1:9 does not answer"):
        answer(capsys, "send", folder, "--labels", "outcomes.csv", "--to", "http://127.0.0.1:9")


def test_a_version_with_other_classes_is_said_to_be_left_out(folder, capsys):
    text = (folder / "loop.yaml").read_text().replace('    churned: {values: ["No", "Yes"]}\n', "")
    (folder / "loop.yaml").write_text(text.replace("column: churned", "column: churned, classes: ['true', 'false', x]"))
    served = pd.read_parquet(folder / "served.parquet")
    served.assign(predicted_class="gone").to_parquet(folder / "served.parquet")
    common = ("join", folder, "--labels", "outcomes.csv", "--predictions", "served.parquet")
    said = " ".join(answer(capsys, *common).split())
    assert "version 3: 200 rows, left out: it predicts 'gone'; the loop has true, false, x" in said
    assert json.loads(answer(capsys, *common, "--json"))["versions"]["3"]["metrics"] == {}
