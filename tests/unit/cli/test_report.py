"""`loopwright report`: gathers what there is, says what it could not read, and fails with a message."""

import json

import pytest
from click.testing import CliRunner

from loopwright.cli.context import Context
from loopwright.cli.main import command
from loopwright.cli.report import gather, write
from loopwright.errors import RegistryError, StateError
from loopwright.ledger import Ledger


class Registered:
    """A registry with version 1 only."""

    def evaluation(self, loop, version):
        if version != 1:
            raise RegistryError(f"{loop} has no version {version}", expected="a registered one (1)", do="look")
        return {"metrics": {"roc_auc": 0.9}, "rows": 10, "gates": [], "passed": True, "curves": {}}


@pytest.fixture
def folder(tmp_path, monkeypatch, churn_declaration):
    for name in ("STATE", "LEDGER_URL", "REGISTRY_URI", "SPEED", "ORIGIN"):
        monkeypatch.delenv(f"LOOPWRIGHT_{name}", raising=False)
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / "loop.yaml").write_text(churn_declaration)
    return tmp_path / "churn"


@pytest.fixture
def context(folder):
    """A loop with a short ledger, and a registry that has one of its two versions."""
    made = Context.of(str(folder))
    made.settings.live.mkdir(parents=True)
    asked = made.ledger.append("churn", "request", {"by": "ada", "reason": "the first version"})
    for version in (1, 2):
        facts = {"version": version, "digest": "26d018d79efdba93"}
        registered = made.ledger.append("churn", "registered", facts, cause=asked.number)
    made.ledger.append("churn", "promoted", {"version": 2, "previous": None, "seconds": 4.0}, cause=registered.number)
    made.ledger.append("demand", "request", {"by": "bob", "reason": "another loop"})
    made.__dict__["registry"] = Registered()
    return made


def test_the_page_is_written_and_its_path_returned(context, folder):
    path = write(context, folder / "report.html", [("drift begins", 1.7e9)])
    assert path == folder / "report.html"
    text = path.read_text(encoding="utf-8")
    assert "Version 2 serves" in text
    assert "drift begins" in text
    assert "bob" not in text


def test_the_facts_are_the_loop_s_and_what_is_missing_is_noted(context):
    facts = gather(context)
    assert [entry.kind for entry in facts.entries] == ["request", "registered", "registered", "promoted"]
    assert list(facts.evaluations) == [1]
    assert facts.notes == ("the evaluation of version 2: churn has no version 2",)
    assert facts.verified is True
    assert facts.series == []


def test_a_damaged_series_is_noted_and_the_page_is_written_without_it(context):
    (context.settings.live / "series.jsonl").write_text('{"at": 1.0\n{"at": 2.0}\n')
    facts = gather(context)
    assert facts.series == []
    assert "series.jsonl" in facts.notes[0]


def test_a_ledger_that_was_changed_is_reported_as_such(context):
    import sqlite3

    with sqlite3.connect(context.settings.state / "ledger.db") as connection:
        connection.execute("update loopwright_ledger set facts = '{}' where number = 2")
    connection.close()
    facts = gather(context)
    assert facts.verified == "the ledger does not verify: entry 2 (registered) was changed after it was written"
    assert "entry 2 (registered) was changed" in write(context, context.folder / "r.html").read_text()


def test_a_loop_that_never_ran_gets_a_message_and_no_ledger(folder):
    result = CliRunner().invoke(command, ["report", str(folder)])
    assert isinstance(result.exception, StateError)
    assert str(result.exception) == (
        "nothing has happened in churn yet; expected a loop that has run. Begin with `loopwright run churn`"
    )
    assert not (folder / ".loopwright").exists()


@pytest.mark.parametrize("place", ["absent/report.html", "loop.yaml/report.html", "."])
def test_a_place_that_cannot_be_written_is_named(context, folder, place):
    with pytest.raises(StateError, match="the report cannot be written to") as caught:
        write(context, folder / place)
    assert "Name another one with --to" in str(caught.value)
    assert caught.value.exit_code == 7


def test_the_command_answers_where_the_page_is(context, folder, monkeypatch, tmp_path):
    monkeypatch.setattr("loopwright.registry.Registry.evaluation", Registered.evaluation)
    path = tmp_path / "out.html"
    result = CliRunner().invoke(command, ["report", str(folder), "--to", str(path), "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads(result.output) == {"report": str(path)}
    assert path.read_text().startswith("<!DOCTYPE html>")


def test_by_default_the_page_is_beside_the_declaration(context, folder, monkeypatch):
    monkeypatch.setattr("loopwright.registry.Registry.evaluation", Registered.evaluation)
    result = CliRunner().invoke(command, ["report", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0
    assert str(folder / "report.html") in result.output.replace("\n", "")
    assert (folder / "report.html").exists()


def test_an_entry_knows_the_hash_that_it_follows_from(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    first, second = ledger.append("churn", "started", {}), ledger.append("churn", "stopped", {})
    assert second.previous == first.hash
    assert [entry.previous for entry in ledger.entries()] == [first.previous, first.hash]
