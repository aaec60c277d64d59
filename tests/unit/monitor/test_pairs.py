"""Requests that find their responses, whatever comes between, and what is given up."""

from collections import Counter

import numpy as np
import pytest

from loopwright.monitor.cloudevents import Half
from loopwright.monitor.pairs import PATIENCE, Intake

NOW = 1.8e9


@pytest.fixture
def intake(profile):
    return Intake({"1": profile}.get, Counter(), 3600.0)


def request(name, body=b'{"instances": [[40, "basic"]]}', at=NOW, version="1"):
    return Half((name, (version,)), True, (version,), at, body, len(body) + 800)


def response(name, body=b'{"predictions": [0.25]}', at=NOW, version="1"):
    return Half((name, (version,)), False, (version,), at, body, len(body) + 800)


def work(intake, *halves, now=NOW):
    assert all(intake.offer(half) for half in halves)
    return intake.work(now)


def counted(intake):
    return {reason: number for reason, number in intake.rejected.items() if number}


def test_many_pairs_become_one_batch_in_whatever_order_they_come(intake):
    halves = [request(str(i)) for i in range(5)] + [response(str(i)) for i in range(5)]
    order = np.random.default_rng(3).permutation(10)
    (batch,) = work(intake, *(halves[i] for i in order))
    assert sorted(batch.ids) == ["0", "1", "2", "3", "4"]
    assert batch.predictions.tolist() == [0.25] * 5
    assert batch.columns["age"].tolist() == [40.0] * 5
    assert intake.outcomes == {("1", "answered"): 5}
    assert (intake.pending, intake.waiting) == (0, 0)


def test_rows_of_one_request_have_ids_as_the_predictors(intake):
    body = b'{"instances": [[40, "basic"], [41, null]]}'
    (batch,) = work(intake, request("r", body), response("r", b'{"predictions": [0.25, 0.5]}'))
    assert list(batch.ids) == ["r/0", "r/1"]
    assert batch.columns["plan"].tolist() == ["basic", None]


def test_one_event_that_cannot_be_used_costs_only_itself(intake):
    good = [request("a"), response("a"), request("b"), response("b")]
    text = b'{"instances": [["forty", "basic"]]}'
    batches = work(intake, *good[:2], request("x", text), response("x"), *good[2:])
    assert sorted(name for batch in batches for name in batch.ids) == ["a", "b"]
    assert counted(intake) == {"columns": 1}
    work(intake, request("y"), response("y", b"{"), request("z"), response("z", b'{"predictions": [1, 2]}'))
    assert counted(intake) == {"columns": 2, "broken": 1}
    assert intake.pending == 0


def test_a_question_for_health_or_metadata_is_no_request_for_a_prediction(intake):
    assert work(intake, request("a", b""), response("a", b'{"ready": true}'), request("b", b"")) == []
    intake.expire(NOW + PATIENCE)
    assert counted(intake) == {}
    assert intake.outcomes == {}


def test_events_of_a_version_without_a_profile_are_counted_as_that(intake):
    assert work(intake, request("a", version="9"), response("a", version="9")) == []
    assert counted(intake) == {"unknown_version": 1}
    assert not intake.outcomes


def test_events_of_last_month_are_not_counted_as_traffic_of_now(intake):
    month = 30 * 86400.0
    assert work(intake, request("a", at=NOW - month), response("a", at=NOW - month)) == []
    assert counted(intake) == {"late": 2}
    assert intake.pending == 0


def test_a_request_that_is_never_answered_is_given_up_and_told(intake):
    work(intake, request("a"), response("b"))
    intake.expire(NOW + PATIENCE - 1)
    assert intake.pending == 2
    intake.expire(NOW + PATIENCE)
    assert (intake.pending, intake.unpaired) == (0, {"request": 1, "response": 1})
    assert intake.outcomes == {("1", "unanswered"): 1}
    assert work(intake, response("a"), now=NOW + PATIENCE) == []


def test_the_same_id_again_is_the_newer_request(intake):
    newer = request("a", b'{"instances": [[20, "basic"]]}')
    (batch,) = work(intake, request("a"), newer, response("a"))
    assert batch.columns["age"].tolist() == [20.0]
    assert intake.unpaired == {"request": 1}


def test_what_waits_is_bounded_in_bytes(profile):
    intake = Intake({"1": profile}.get, Counter(), 3600.0, most=10 * request("0").size)
    assert [intake.offer(request(str(i))) for i in range(12)] == [True] * 10 + [False] * 2
    intake.work(NOW)
    work(intake, *(request(f"b{i}") for i in range(5)))
    assert (intake.pending, intake.unpaired) == (10, {"request": 5})
    # The oldest went.
    assert work(intake, response("0")) == []
    assert len(work(intake, response("b4"))) == 1


def test_a_number_beyond_a_float_costs_only_its_own_event(intake):
    huge = b'{"predictions": [1' + b"0" * 400 + b"]}"
    batches = work(intake, request("a"), response("a"), request("x"), response("x", huge), request("b"), response("b"))
    assert sorted(name for batch in batches for name in batch.ids) == ["a", "b"]
    assert sum(counted(intake).values()) == 1
