"""Open runs of a ledger that several machines and namespaces share: each asks after its own, and closes no others."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from loopwright.cli import engines, open_runs, trigger_service
from loopwright.cli.context import Context
from loopwright.cli.status import status
from loopwright.engines.protocol import RunRequest, RunStatus
from loopwright.errors import EngineAway, RunError
from loopwright.trigger.execute import LOST_SECONDS, UNKNOWN_SECONDS
from loopwright.trigger.records import LOST, runs

HERE, ELSEWHERE = "models@0a1b", "models@2c3d"


class Place:
    """An engine at a place, which knows what it is told."""

    place = HERE

    def __init__(self, *known):
        self.known = {one.run: one for one in known}

    def runs(self, _loop):
        return list(self.known.values())

    def status(self, name):
        return self.known[name]


@pytest.fixture
def context(small_folder):
    found = Context.of(str(small_folder))
    return replace(found, settings=replace(found.settings, engine="argo"))


@pytest.fixture
def begun(context):
    """A run begins, some seconds ago."""

    def begin(place, ago=2 * UNKNOWN_SECONDS):
        facts = {"run": "small-1", "engine": "argo", "place": place, "by": "Ada"}
        return context.ledger.append("small", "run", facts, at=datetime.now(UTC) - timedelta(seconds=ago))

    return begin


def ends(context):
    return [one.facts["error"] for one in context.ledger.entries("small", kind="run_ended")]


def test_only_a_run_of_this_place_that_the_engine_does_not_know_is_interrupted(context, begun):
    begun(HERE)
    open_runs.settle(context, Place())
    assert ends(context) == ["interrupted"]


def test_a_run_of_another_place_is_left_alone_and_may_be_under_way(context, begun):
    begun(ELSEWHERE)
    with pytest.raises(RunError, match=f"may be under way: the run small-1 is on the argo engine at {ELSEWHERE}"):
        open_runs.settle(context, Place())
    assert ends(context) == []


def test_a_run_that_the_engine_knows_is_asked_after_wherever_it_was_submitted_from(context, begun):
    begun(ELSEWHERE)
    open_runs.settle(context, Place(RunStatus("small-1", "small", "failed", error="age is missing")))
    assert ends(context) == ["age is missing"]


def test_a_run_that_could_not_go_on_any_more_is_lost_wherever_it_was(context, begun):
    begun(ELSEWHERE, ago=LOST_SECONDS + 1)
    open_runs.settle(context, Place())
    assert ends(context) == [LOST]
    (run,) = runs(context.ledger.entries("small"))
    assert run.cut_off, "it says nothing about data or code, so that it does not count as a failure"


def test_no_run_is_lost_before_its_engine_would_have_ended_it():
    assert RunRequest.timeout.total_seconds() < LOST_SECONDS
    assert f"within {'seven' if LOST_SECONDS == 7 * 3600 else '?'} hours" in LOST


def test_a_person_gives_up_a_run_that_nobody_has_any_more(context, begun):
    begun(ELSEWHERE)
    open_runs.settle(context, Place(), "small-1")
    assert ends(context) == [LOST]
    with pytest.raises(RunError, match="there is no open run small-1"):
        open_runs.settle(context, Place(), "small-1")


def test_a_run_that_is_known_to_go_on_is_not_given_up(context, begun):
    begun(ELSEWHERE)
    with pytest.raises(RunError, match="the run small-1 of small is under way"):
        open_runs.settle(context, Place(RunStatus("small-1", "small", "running")), "small-1")
    assert ends(context) == []


def test_the_trigger_takes_what_it_cannot_ask_after_to_be_under_way_until_it_is_lost(
    context, begun, monkeypatch, caplog
):
    monkeypatch.setattr(engines, "opened", lambda _settings, name="": Place())
    ask = trigger_service.build(context)._executor.ask
    assert ask(begun(HERE)) is None
    elsewhere = begun(ELSEWHERE)
    assert [ask(elsewhere).state for _ in range(3)] == ["running"] * 3
    assert len(caplog.messages) == 1, "it asks every few seconds, for hours"
    lost = ask(begun(ELSEWHERE, ago=LOST_SECONDS + 1))
    assert (lost.state, lost.error) == ("failed", LOST)


def test_an_engine_that_is_away_loses_its_runs_in_the_end(context, begun, monkeypatch):
    def away(_settings, name=""):
        if name:
            raise EngineAway("no answer")
        return Place()

    kfp = replace(context, settings=replace(context.settings, engine="kfp"))
    monkeypatch.setattr(engines, "opened", away)
    ask = trigger_service.build(kfp)._executor.ask
    assert ask(begun(HERE)).state == "running"
    assert ask(begun(HERE, ago=LOST_SECONDS + 1)).error == LOST


def test_the_trigger_writes_where_its_runs_are(context, monkeypatch):
    monkeypatch.setattr(engines, "opened", lambda _settings, name="": Place())
    trigger_service.build(context).request("why not", "Ada")
    (run,) = context.ledger.entries("small", kind="run")
    assert (run.facts["engine"], run.facts["place"]) == ("argo", HERE)


def test_status_shows_the_newest_run_on_whichever_engine_it_is(context, begun, monkeypatch, small_folder):
    def shown():
        return json.loads(CliRunner().invoke(status, [str(small_folder), "--json"]).output)["last_run"]

    there = Place(RunStatus("small-1", "small", "running", seconds=3.0))
    monkeypatch.setattr(engines, "opened", lambda _settings, name="": {"argo": there}[name])
    entry = begun(HERE)
    assert {name: shown()[name] for name in ("run", "engine", "state")} == {
        "run": "small-1",
        "engine": "argo",
        "state": "running",
    }
    there.known.clear()
    assert shown()["state"] == "unknown"
    open_runs.end(context, entry, {"state": "succeeded", "seconds": 5.0, "version": 2, "error": None})
    assert (shown()["state"], shown()["version"]) == ("succeeded", 2)


def test_each_engine_says_which_one_of_its_kind_it_is(tmp_path):
    from kubernetes.client import ApiClient, Configuration

    from loopwright.cluster.api import Cluster
    from loopwright.engines.argo import ArgoEngine
    from loopwright.engines.kfp import KfpEngine, LedgerOutcomes, Options
    from loopwright.engines.local import LocalEngine
    from loopwright.ledger import Ledger
    from loopwright.settings import read

    settings = read(tmp_path, {"LOOPWRIGHT_MACHINE": "models/loopwright", "LOOPWRIGHT_STATE": "/state"})
    assert LocalEngine(settings).place == "models/loopwright:/state"
    outcomes = LedgerOutcomes(Ledger(f"sqlite:///{tmp_path}/ledger.db"))
    assert (
        KfpEngine(Options(host="https://ada:secret@kfp", namespace="ada"), outcomes).place == "https://ada:***@kfp/ada"
    )
    places = []
    for authority in ("one", "another", ""):
        configuration = Configuration(host="http://127.0.0.1:9")
        if authority:
            (tmp_path / authority).write_text(authority)
            configuration.ssl_ca_cert = str(tmp_path / authority)
        places.append(ArgoEngine(Cluster(ApiClient(configuration), "models")).place)
    assert [place.partition("@")[0] for place in places] == ["models"] * 3
    assert len(set(places)) == 3
    assert places[2] == "models"
