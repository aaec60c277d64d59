"""The ledger in words: every kind has a sentence, and what follows from one cause is one story."""

from datetime import UTC, datetime

import pytest

from loopwright.ledger import Entry
from loopwright.report import story


def entry(kind, number=1, cause=None, **facts):
    return Entry(number, datetime(2026, 3, 2, tzinfo=UTC), "churn", kind, cause, None, facts, "")


def test_every_entry_of_a_whole_life_has_a_sentence_of_its_own_kind(ledger):
    for one in ledger.entries("churn"):
        assert not story.sentence(one).startswith(f"{one.kind}:"), one.kind


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            entry(
                "alarm", version="1", features=[{"name": "age", "distance": 0.314}, {"name": "plan", "distance": None}]
            ),
            "drift alarm on version 1: age (0.31), plan",
        ),
        (
            entry(
                "alarm",
                version="1",
                features=[
                    {"name": "age", "distance": 0.31, "against": "training"},
                    {"name": "age", "distance": 0.25, "against": "recent"},
                    {"name": "plan", "distance": 0.2, "against": "training"},
                ],
            ),
            "drift alarm on version 1: age (0.31), plan (0.20) from the training data; age (0.25) from recent traffic",
        ),
        (
            entry("alarm", version="1", features=[], summary="latency is high"),
            "drift alarm on version 1: latency is high",
        ),
        (entry("decision", action="no", reason="a run is in flight"), "no run: a run is in flight"),
        (entry("shifted", version=2, weight=0, how="mirrored"), "version 2 gets a copy of the traffic"),
        (
            entry("shifted", version=2, weight=50, how="by the cookie group"),
            "version 2 takes 50 % of the traffic, by the cookie group",
        ),
        (entry("paused", version=2, who="ada", why="lunch"), "the rollout of version 2 was paused by ada: lunch"),
        (entry("resumed", version=2, who="ada", why=""), "the rollout of version 2 was resumed by ada"),
        (
            entry("intervened", version=2, who="somebody", why="it was given 30 %", found=30, asked=5),
            "the rollout of version 2 waits for a person: it was given 30 %",
        ),
        (
            entry("promoted", version=2, previous=1, seconds=3.0, by="ada", reason="promoted by ada: seen"),
            "version 2 became champion in place of version 1 (promoted by ada: seen)",
        ),
        (entry("decision", action="start", reason="age drifted"), "a run was decided: age drifted"),
        (
            entry("validated", rows=7043, kept=7000, set_aside=43),
            "the data kept its contract: 7,000 of 7,043 rows, 43 set aside",
        ),
        (
            entry("judged", passed=False, metrics={"rmse": 2.5}, champion=None, rows=1200),
            "the model did not pass its gates: rmse 2.500 on 1,200 held-out rows",
        ),
        (
            entry(
                "judged",
                passed=True,
                metrics={"roc_auc": 0.84},
                rows=9,
                champion={"version": 1, "metrics": {"roc_auc": 0.8}},
            ),
            "the model passed its gates: roc_auc 0.840 (champion 1: 0.800) on 9 held-out rows",
        ),
        (entry("run_ended", state="failed", seconds=3, error="the disk is full"), "the run failed: the disk is full"),
        (
            entry("run_ended", state="rejected", seconds=31.4),
            "the run ended in 31 s without a version: a gate was not passed",
        ),
        (
            entry("run_ended", state="succeeded", seconds=31.4, version=2),
            "the run succeeded in 31 s; version 2 came of it",
        ),
        (
            entry("verdict", version=2, weight=5, verdict="cannot_tell", reason="no labels"),
            "verdict on version 2 at 5 %: cannot tell: no labels",
        ),
        (entry("promoted", version=2, previous=1), "version 2 became champion in place of version 1"),
        (entry("promoted", version=1, previous=None), "version 1 became champion"),
        (
            entry("rolled_back", version=3, seconds=20.64, reason="it is worse", requests=1930),
            "version 3 was taken back after 20.6 s: it is worse; it answered 1,930 requests",
        ),
        (
            entry("rolled_back", version=3, seconds=20.64, reason="it is worse", requests=None),
            "version 3 was taken back after 20.6 s: it is worse",
        ),
        (
            entry("rollout_failed", version=3, reason="process 7 is rolling out version 2"),
            "the rollout of version 3 could not go on: process 7 is rolling out version 2",
        ),
    ],
)
def test_a_sentence_says_what_happened(told, expected):
    assert story.sentence(told) == expected


def test_an_entry_of_an_unknown_kind_shows_its_facts():
    assert story.sentence(entry("moved", place="eu", rows=3)) == "moved: place eu, rows 3"


def test_a_story_holds_all_that_followed_from_one_first_cause(ledger):
    told = story.tell(ledger.entries("churn"))
    kinds = [[line.entry.kind for line in one.lines] for one in told]
    assert [one.root.kind for one in told] == ["request", "started", "alarm", "request"]
    assert kinds[0][-1] == "promoted"
    assert kinds[2][-1] == "promoted"
    assert kinds[3][-1] == "rolled_back"
    assert sum(map(len, kinds)) == len(ledger.entries("churn"))


def test_an_entry_whose_cause_is_not_there_begins_a_story(ledger):
    newest = ledger.entries("churn", newest=3)
    assert [one.root.number for one in story.tell(newest)] == [newest[0].number]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (entry("promoted"), story.GOOD),
        (entry("alarm"), story.BAD),
        (entry("rolled_back"), story.BAD),
        (entry("rollout_failed"), story.BAD),
        (entry("run_ended", state="failed"), story.BAD),
        (entry("run_ended", state="succeeded"), story.PLAIN),
        (entry("judged", passed=False), story.BAD),
        (entry("judged", passed=True), story.PLAIN),
        (entry("verdict", verdict="roll_back"), story.BAD),
        (entry("verdict", verdict="wait"), story.PLAIN),
    ],
)
def test_the_tone_tells_good_from_bad(told, expected):
    assert story.tone(told) == expected
