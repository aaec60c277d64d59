"""Blue/green, A/B and shadow; what people do to a rollout; and being killed at every call to the data plane."""

import pytest
from tests.unit.rollout.conftest import Behaviour, InMemoryGateway, Killed, gateway

from loopwright.errors import RolloutError
from loopwright.rollout.course import STOPPED
from loopwright.rollout.gateway import GatewayLost
from loopwright.rollout.queries import Unanswered
from loopwright.rollout.resume import Paused
from loopwright.rollout.stage import UNWELL
from loopwright.rollout.states import Command

RATES = {"error_rate": {}, "latency_p99": {}}
BLUE_GREEN = {"strategy": "blue_green", "keep": "10m", "metrics": RATES}
AB = {"strategy": "ab", "ab": {"share": 40, "horizon": "5m"}, "metrics": RATES}
SHADOW = {"strategy": "shadow", "metrics": RATES | {"disagreement": {"max": 0.1}}}
CANARY = {"strategy": "canary", "metrics": RATES}
ALL = [CANARY, BLUE_GREEN, AB, SHADOW]
NAMES = [one["strategy"] for one in ALL]


def ready(**challenger):
    """A data plane whose champion has had traffic for a minute."""
    plane = gateway(**challenger)
    for _ in range(30):
        plane.pause(2.0)
    return plane


def better(strategy):
    """A challenger that every strategy promotes."""
    return ready(loss=0.05) if strategy is AB else ready()


def calls(plane, *names):
    return [call for call in plane.calls if call[0] in names]


def tell(world, plane, at, kind, why=""):
    plane.events[at] = lambda it: world.states.tell(Command(kind, "ada", why, at))


# --- blue/green


def test_blue_green_tells_the_preview_switches_at_once_and_keeps_the_old_colour_as_long_as_declared(world):
    plane = ready()
    outcome = world.run(plane, **BLUE_GREEN)
    assert outcome.promoted
    assert calls(plane, "shift", "promote", "withdraw") == [("shift", 2, 100), ("promote", 2), ("withdraw", 1)]
    assert any("preview: preview of 2" in look.text for look in world.looks)
    promoted = world.entries("promoted")[0]
    assert plane.clock - promoted.at.timestamp() == pytest.approx(600, abs=3)
    assert promoted.facts["kept_until"].startswith("1970-01-01T00:")
    assert (plane.stable, plane.former, world.promoted) == (2, None, [2])
    assert world.states.load() is None


def test_evidence_that_turns_bad_while_the_old_colour_is_kept_goes_back_to_it(world):
    plane = ready()
    plane.events[1300.0] = lambda it: it.behaviours.update({2: Behaviour(errors=0.5)})
    outcome = world.run(plane, **BLUE_GREEN)
    assert not outcome.promoted
    assert outcome.reason.startswith("error_rate")
    assert (plane.stable, plane.canary, plane.former) == (1, None, None)
    assert world.promoted == [2, 1]
    assert [entry.kind for entry in world.entries()][-3:] == ["promoted", "verdict", "rolled_back"]
    assert calls(plane, "restore", "withdraw") == [("restore", 1), ("withdraw", 2)]
    assert plane.clock < 1310


def test_abort_while_the_old_colour_is_kept_returns_to_it_at_once(world):
    plane = ready()
    tell(world, plane, 1300.0, "abort", "a customer called")
    outcome = world.run(plane, **BLUE_GREEN)
    assert (outcome.promoted, outcome.reason) == (False, "aborted by ada: a customer called")
    assert outcome.seconds_to_zero == 0
    assert (plane.stable, plane.former, world.promoted) == (1, None, [2, 1])
    assert world.entries()[-1].facts["by"] == "ada"
    assert world.states.command() is None


def test_the_old_colour_that_somebody_made_the_champion_again_stays_it(world):
    plane = ready()
    plane.events[1300.0] = lambda it: it.__dict__.update(stable=1, canary=2, former=None)
    outcome = world.run(plane, **BLUE_GREEN)
    assert (outcome.promoted, outcome.reason) == (False, "version 1 was made the champion again by hand")
    assert (plane.stable, plane.canary, world.promoted) == (1, None, [2, 1])


# --- A/B


def test_an_ab_test_splits_for_its_horizon_and_promotes_who_is_better(world):
    plane = ready(loss=0.05)
    outcome = world.run(plane, **AB)
    assert outcome.promoted
    assert outcome.reason.startswith("it won the A/B test")
    assert 300 <= outcome.seconds < 305
    assert calls(plane, "split", "shift", "promote") == [("split", 2, 40), ("promote", 2)]
    verdict = world.entries("verdict")[-1].facts
    assert (verdict["weight"], verdict["verdict"]) == (40, "promote")
    assert verdict["evidence"]["ab"]["p_value"] < 0.05
    assert world.entries("shifted")[0].facts["how"] == "by the cookie loopwright-churn"


@pytest.mark.parametrize(
    ("loss", "win", "promoted"),
    [(0.1, "better", False), (0.1, {"no_worse_by": 0.02}, True), (0.2, {"no_worse_by": 0.02}, False)],
    ids=["as good, and has to be better", "as good, and may be", "worse"],
)
def test_what_has_to_be_shown_decides_who_wins(world, loss, win, promoted):
    outcome = world.run(ready(loss=loss), **AB | {"ab": {"horizon": "5m", "win": win}})
    assert outcome.promoted == promoted
    assert ("won" if promoted else "did not win") in outcome.reason


def test_a_failing_version_does_not_stay_until_the_horizon(world):
    plane = ready(errors=0.3)
    outcome = world.run(plane, **AB)
    assert outcome.reason.startswith("error_rate")
    assert outcome.seconds < 30
    assert plane.weights() == {1: 100}


def test_an_ab_test_that_is_paused_at_its_horizon_is_decided_once_when_it_is_resumed(world):
    plane = ready()
    tell(world, plane, 1100.0, "pause")
    tell(world, plane, 2500.0, "resume")
    outcome = world.run(plane, **AB)
    assert outcome.reason.startswith("it did not win the A/B test")
    # As long after the horizon as it was paused, which does not count.
    assert plane.clock == pytest.approx(1060 + 300 + 1400, abs=6)


def test_an_ab_test_without_labels_cannot_tell_and_is_taken_back(world):
    outcome = world.run(ready(), **AB | {"ab": {"horizon": "5m", "min_labels": 10**6}})
    assert outcome.reason.startswith("no verdict after 5m: the A/B test")
    assert 600 <= outcome.seconds < 605


def test_an_ab_test_by_header_gives_nothing_to_the_others(world):
    plane = ready(loss=0.05)
    tell(world, plane, 1100.0, "promote")
    ab = {"header": "x-group", "values": ["beta"]}
    assert world.run(plane, **AB | {"ab": ab}).promoted
    assert calls(plane, "split") == [("split", 2, 0)]
    assert world.entries("shifted")[0].facts["how"] == "those with the header x-group: beta"


# --- shadow


def test_a_shadow_rollout_mirrors_first_and_then_takes_the_steps(world):
    plane = ready(differs=0.02)
    assert world.run(plane, **SHADOW).promoted
    assert plane.calls[:4] == [("add", 2), ("mirror", 2, True), ("mirror", 2, False), ("shift", 2, 5)]
    first = world.entries("verdict")[0].facts
    assert (first["weight"], first["verdict"]) == (0, "promote")
    found = first["evidence"]["disagreement"]
    assert found["pairs"] > 1000
    assert found["bound"] < found["share"] < found["upper"] < 0.1
    assert found["share"] == pytest.approx(0.02, abs=0.015)
    assert "disagreement" not in world.entries("verdict")[1].facts["evidence"]
    assert world.entries("shifted")[0].facts == {"version": 2, "weight": 0, "how": "mirrored"}


def test_a_challenger_that_disagrees_never_gets_traffic(world):
    plane = ready(differs=0.4)
    outcome = world.run(plane, **SHADOW)
    assert outcome.reason.startswith("disagreement")
    assert not [call for call in calls(plane, "shift") if call[2] > 0]
    assert (plane.weights(), plane.mirrored) == ({1: 100}, False)


def test_mirrored_requests_that_fail_are_compared_with_the_champions(world):
    outcome = world.run(ready(errors=0.3), **SHADOW)
    assert outcome.reason.startswith("error_rate")


def test_answers_that_cannot_be_read_never_promote(world):
    plane = ready()
    plane.answers = lambda version, after: ([], after)
    outcome = world.run(plane, **SHADOW)
    assert outcome.reason.startswith("no verdict after 5m: disagreement")


# --- declared queries


def answering(values):
    def ask(query):
        assert query == 'queue{version="2",than="1",loop="churn"}'
        value = values(query) if callable(values) else values
        if isinstance(value, Exception):
            raise value
        return value

    return ask


def queried(**query):
    one = {"name": "queue", "query": 'queue{version="$version",than="$champion",loop="$loop"}', "hold": "10s"}
    return {"metrics": RATES | {"queries": [one | query]}}


def test_a_query_within_its_threshold_promotes_and_is_in_the_evidence(world):
    assert world.run(ready(), ask=answering(3.0), **queried(max=5)).promoted
    assert world.entries("verdict")[0].facts["evidence"]["queue"]["value"] == 3.0


def test_a_query_beyond_its_threshold_takes_back_after_it_has_held(world):
    outcome = world.run(ready(), ask=answering(3.0), **queried(min=5))
    assert outcome.reason.startswith("queue: 3 is below 5")
    assert 10 <= outcome.seconds < 13


def test_one_bad_value_takes_nothing_back(world):
    plane = ready()
    ask = answering(lambda _: 9.0 if 1065 < plane.clock < 1070 else 1.0)
    assert world.run(plane, ask=ask, **queried(max=5)).promoted


@pytest.mark.parametrize("ask", [None, answering(Unanswered("its value is NaN"))], ids=["no Prometheus", "NaN"])
def test_a_query_without_an_answer_cannot_be_told_and_never_promotes(world, ask):
    outcome = world.run(ready(), ask=ask, **queried(max=5))
    assert outcome.reason.startswith("no verdict after 5m: queue:")


# --- people


def test_a_rollout_that_is_paused_keeps_its_share_until_it_is_resumed(world):
    plane = ready()
    tell(world, plane, 1070.0, "pause", "lunch")
    tell(world, plane, 2070.0, "resume")
    outcome = world.run(plane, **CANARY)
    assert outcome.promoted
    assert outcome.seconds > 1000
    paused, resumed = world.entries("paused")[0], world.entries("resumed")[0]
    assert paused.facts == {"version": 2, "who": "ada", "why": "lunch"}
    assert (resumed.at - paused.at).total_seconds() == pytest.approx(1000, abs=5)
    assert [call[2] for call in calls(plane, "shift")] == [5, 25, 50, 100]


def test_a_paused_rollout_is_still_taken_back_when_it_is_worse(world):
    plane = ready()
    tell(world, plane, 1070.0, "pause")
    plane.events[1200.0] = lambda it: it.behaviours.update({2: Behaviour(errors=1.0)})
    assert world.run(plane, **CANARY).reason.startswith("error_rate")


def test_a_rollout_that_is_started_paused_gives_no_traffic_until_it_is_resumed(world):
    plane = ready()
    tell(world, plane, 2000.0, "resume")
    seen = {}
    plane.events[1999.0] = lambda it: seen.update(it.weights())
    assert world.run(plane, paused=Paused("ada", "a look first", 1060.0), **BLUE_GREEN).promoted
    assert seen == {1: 100, 2: 0}


@pytest.mark.parametrize("strategy", ALL, ids=NAMES)
def test_a_person_promotes_without_a_verdict(world, strategy):
    plane = ready()
    tell(world, plane, 1070.0, "promote", "I have seen it")
    assert world.run(plane, **strategy).promoted
    facts = world.entries("promoted")[0].facts
    assert (facts["by"], facts["reason"]) == ("ada", "promoted by ada: I have seen it")
    assert (plane.stable, plane.mirrored) == (2, plane.mirrored)


@pytest.mark.parametrize("strategy", ALL, ids=NAMES)
def test_a_person_aborts(world, strategy):
    plane = ready()
    tell(world, plane, 1070.0, "abort")
    outcome = world.run(plane, **strategy)
    assert (outcome.promoted, outcome.reason) == (False, "aborted by ada")
    assert (plane.weights(), plane.mirrored, plane.sticky) == ({1: 100}, False, False)


def test_a_weight_that_somebody_changed_is_respected_until_a_person_says_what_to_do(world):
    plane = ready()
    plane.events[1070.0] = lambda it: setattr(it, "weight", 33)
    seen = []
    plane.events[1900.0] = lambda it: seen.append((it.weight, world.states.load().paused.found))
    tell(world, plane, 2000.0, "resume")
    assert world.run(plane, **CANARY).promoted
    assert seen == [(33, 33)]
    found = world.entries("intervened")[0].facts
    assert (found["found"], found["asked"]) == (33, 5)
    assert "was given 33 % by hand, and this rollout had asked for 5 %" in found["why"]
    assert [call[2] for call in calls(plane, "shift")] == [5, 5, 25, 50, 100]


def test_a_challenger_that_somebody_took_away_comes_back_when_a_person_resumes(world):
    plane = ready()
    plane.events[1070.0] = lambda it: it.__dict__.update(canary=None, weight=0)
    tell(world, plane, 1200.0, "resume")
    assert world.run(plane, **CANARY).promoted
    assert world.entries("intervened")[0].facts["found"] == -1
    assert len(calls(plane, "add")) == 2


def test_abort_after_somebodys_hand_takes_the_challenger_back(world):
    plane = ready()
    plane.events[1070.0] = lambda it: setattr(it, "weight", 33)
    tell(world, plane, 1100.0, "abort")
    assert not world.run(plane, **CANARY).promoted
    assert plane.weights() == {1: 100}


def test_a_challenger_that_somebody_made_the_champion_is_it(world):
    plane = ready()
    plane.events[1070.0] = lambda it: it.__dict__.update(stable=2, canary=None, weight=0)
    outcome = world.run(plane, **CANARY)
    assert (outcome.promoted, outcome.reason) == (True, "it was made the champion by hand")
    assert (plane.stable, world.promoted) == (2, [2])


def test_what_was_told_while_nobody_ran_it_is_done_first(world):
    plane = ready()
    plane.events[1070.0] = InMemoryGateway.kill
    with pytest.raises(Killed):
        world.run(plane, **CANARY)
    plane.dead, plane.never_ready = False, True
    world.states.tell(Command("abort", "ada", "", 1080.0))
    # The steps are other ones now, and a command goes on by the plan that the rollout began with.
    assert world.run(plane, steps=[50], going_on=True, metrics=RATES).reason == "aborted by ada"
    assert plane.weights() == {1: 100}
    with pytest.raises(RolloutError, match="is over"):
        world.run(plane, going_on=True, **CANARY)
    assert len(world.entries("rollout")) == 1


def test_a_command_for_an_earlier_rollout_is_not_for_the_next_one(world):
    world.states.tell(Command("abort", "ada", "", 1.0))
    assert world.run(ready(), **CANARY).promoted


def test_a_damaged_command_is_told_and_does_not_end_the_rollout(world):
    plane = ready()
    path = world.settings.live / "rollout-command.json"
    plane.events[1070.0] = lambda it: path.write_text("{")
    assert world.run(plane, **CANARY).promoted
    assert sum("rollout-command.json cannot be read" in look.text for look in world.looks) == 1


def test_ctrl_c_takes_back_before_the_promotion_and_leaves_what_is_promoted(world):
    plane = ready()
    plane.events[1070.0] = KeyboardInterrupt()
    assert world.run(plane, **SHADOW).reason == STOPPED
    plane.events[plane.clock + 300] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        world.run(plane, **BLUE_GREEN)
    assert (plane.stable, plane.former, world.states.load().phase) == (2, 1, "keeping")
    assert world.run(plane, **BLUE_GREEN).promoted
    assert plane.former is None


# --- health


def test_a_challenger_that_cannot_serve_for_long_is_taken_back_and_is_not_promoted_meanwhile(world):
    plane = ready()
    plane.events[1080.0] = lambda it: setattr(it, "ill", "its pod crashes")
    outcome = world.run(plane, **CANARY)
    assert (outcome.promoted, outcome.reason) == (False, "its pod crashes")
    assert plane.clock == pytest.approx(1080 + UNWELL, abs=5)
    assert [call[2] for call in calls(plane, "shift")] == [5, 0]


def test_a_challenger_that_comes_back_soon_goes_on(world):
    plane = ready()
    plane.events[1080.0] = lambda it: setattr(it, "ill", "its pod was deleted")
    plane.events[1100.0] = lambda it: setattr(it, "ill", "")
    assert world.run(plane, **CANARY).promoted


# --- killed


DOES = ("add", "wait_ready", "shift", "mirror", "split", "promote", "restore", "withdraw")
READS = ("champion", "weights", "wanted", "counts", "answers", "health", "preview")


class Killer:
    """Ends the process at the n-th call of the data plane: before it, or after it and before the rollout knows.

    Of the looks, which are all alike, the first ones and some later ones count; what is after one is before the next.
    """

    def __init__(self, plane, nth, *, after):
        self.seen, self.left, self.after = 0, nth, after
        for name in DOES if after else (*DOES, *READS):
            setattr(plane, name, self.wrapped(name, getattr(plane, name)))

    def wrapped(self, name, real):
        def call(*arguments, **options):
            self.seen += 1
            if name in READS and self.seen > 25 and self.seen % 61:
                return real(*arguments, **options)
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Killed
            found = real(*arguments, **options)
            if self.left == 0:
                raise Killed
            return found

        return call


@pytest.mark.long
@pytest.mark.parametrize("ends", ["promoted", "taken back"])
@pytest.mark.parametrize("strategy", ALL, ids=NAMES)
def test_killed_at_every_call_a_rollout_goes_on_without_a_wrong_weight(world, strategy, ends, tmp_path):
    bounds = {"steps": [20], "min_requests": 20, "bake": "4s"}
    bounds |= {"ab": {"share": 40, "horizon": "6s", "min_labels": 20}} if strategy is AB else {}
    bounds |= {"keep": "6s"} if strategy is BLUE_GREEN else {}
    challenger = {"loss": 0.02} if ends == "promoted" else {"errors": 1.0}
    allowed = {0, 100, 40 if strategy is AB else 20}
    kills = 0
    for after in (False, True):
        nth, killed = 0, True
        while killed:
            nth, killed = nth + 1, False
            here, plane = type(world)(tmp_path / f"{after} {nth}"), ready(**challenger)
            Killer(plane, nth, after=after)
            try:
                outcome = here.run(plane, **strategy | bounds)
            except Killed:
                killed, kills = True, kills + 1
                assert plane.weight in allowed
                outcome = here.run(plane, **strategy | bounds)
            where = f"call {nth} {'after' if after else 'before'}: {plane.calls}"
            assert outcome.promoted == (ends == "promoted"), f"{outcome.reason}; {where}"
            assert plane.weights() == {2 if ends == "promoted" else 1: 100}, where
            assert not plane.mirrored or ends == "promoted", where
            assert here.states.load() is None
            assert {call[2] for call in calls(plane, "shift")} <= allowed, where
            kinds = [entry.kind for entry in here.entries()]
            assert kinds.count("rollout") == 1 + (kinds[0] == kinds[1]), where
            assert kinds.count("promoted") == (ends == "promoted"), where
            assert kinds.count("rolled_back") == (ends != "promoted"), where
            assert not here.entries("intervened"), where
    assert kills > 20


def test_a_data_plane_that_goes_at_any_call_leaves_the_rollout_to_be_resumed(world):
    plane = ready()
    Killer(plane, 40, after=False)
    real = plane.wanted

    def lost():
        plane.wanted = real
        raise GatewayLost("nothing serves churn")

    plane.wanted = lost
    with pytest.raises(GatewayLost):
        world.run(plane, **BLUE_GREEN)
    with pytest.raises(Killed):
        world.run(plane, **BLUE_GREEN)
    assert world.run(plane, **BLUE_GREEN).promoted


@pytest.mark.parametrize("phase", ["keeping", "restoring"])
def test_another_version_ends_a_blue_green_rollout_that_was_left_unfinished(world, phase):
    plane = ready()
    if phase == "restoring":
        tell(world, plane, 1300.0, "abort")
        real = plane.restore

        def killed(version):
            plane.restore = real
            raise Killed

        plane.restore = killed
    else:
        plane.events[1300.0] = InMemoryGateway.kill
    with pytest.raises(Killed):
        world.run(plane, **BLUE_GREEN)
    plane.dead = False
    assert world.states.load().phase == phase
    assert world.run(plane, 3, **CANARY).promoted
    assert world.promoted == ([2, 3] if phase == "keeping" else [2, 1, 3])
    assert plane.weights() == {3: 100}
