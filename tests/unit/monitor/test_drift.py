"""The alarm rule: silent without drift, finds and names what drifted, and spends no more than its budget."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from loopwright.durations import Clock, parse_budget
from loopwright.monitor.counters import VersionCounts
from loopwright.monitor.drift import Alarm, Look, Rule, Score, Window, choose, evaluate, prediction_name
from loopwright.statistics.profile import Profile

RULE = Rule(look=360.0, looks=10, level=1 / 21600, min_effect=0.1, min_events=500, persistence=2)


def with_monitor(loop, **changes):
    return loop.model_copy(update={"monitor": loop.monitor.model_copy(update=changes)})


def test_the_budget_is_shared_over_the_looks(loop):
    rule = Rule.of(loop, Clock())
    assert (rule.look, rule.looks, rule.window) == (360, 10, 3600)
    assert rule.level == pytest.approx(1 / (90 * 24 * 10) / 2)
    assert (rule.glances, rule.glance) == (10, 36)
    assert rule.sequential == pytest.approx(rule.level / rule.glances)
    assert (rule.min_effect, rule.min_events, rule.persistence) == (0.1, 500, 2)


def test_on_a_fast_clock_the_window_is_shorter_and_the_level_the_same(loop):
    rule = Rule.of(loop, Clock(speed=360.0))
    assert (rule.look, rule.looks) == (1, 10)
    assert rule.level == pytest.approx(1 / (90 * 24 * 10) / 2)
    assert (rule.glances, rule.glance) == (2, 0.5)


def test_looks_are_at_least_half_a_second_apart_and_cost_accordingly(loop):
    rule = Rule.of(with_monitor(loop, window=timedelta(days=2)), Clock(speed=86_400.0))
    assert (rule.look, rule.looks, rule.window) == (0.5, 4, 2)
    assert rule.level == pytest.approx(1 / 360)
    assert Rule.of(loop, Clock(speed=86_400.0)).looks == 1


def test_a_generous_budget_is_capped(loop):
    rule = Rule.of(with_monitor(loop, false_alarms=parse_budget("1000 per 1h")), Clock())
    assert rule.level + rule.glances * rule.sequential == 0.05


class World:
    """Twenty features, numbers and categories, with a profile of 5,000 rows."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        columns, predictions = self.draw(5000)
        kinds = {name: "number" if name[0] == "n" else "category" for name in columns}
        self.profile = Profile.build("churn", "classification", [], columns, kinds, predictions)

    def draw(self, n, shift=0.0):
        columns = {f"n{i}": self.rng.normal(shift if i == 3 else 0, 1, n) for i in range(12)}
        for i in range(8):
            p = np.array([0.55, 0.3, 0.1, 0.04, 0.01]) if i % 2 else np.array([0.9, 0.1])
            columns[f"c{i}"] = np.array(list("abcde"), dtype=object)[self.rng.choice(len(p), n, p=p)]
        return columns, self.rng.beta(2, 5, n)

    def window(self, n, shift=0.0):
        columns, predictions = self.draw(n, shift)
        return Window(n, self.profile.count(columns), self.profile.count_predictions(predictions))


@pytest.mark.parametrize("n", [500, 2000])
def test_without_drift_no_feature_of_many_windows_has_drifted(n):
    """200 windows of 21 tested distributions: of 4,200 tests, a level of 0.05 would raise about 200."""
    world, tests = World(n), 0
    for _ in range(200 if n == 500 else 60):
        look = evaluate(world.profile, world.window(n), RULE)
        tests += len(look.scores())
        assert not [name for name, score in look.scores().items() if score.drifted]
        assert max(score.score for score in look.scores().values()) < 1
    assert tests >= 1260


def test_at_a_loose_level_false_looks_are_rarer_than_the_level_but_do_happen():
    """The union bound holds where a small simulation can see it: a look at level 0.5 may err in half of the looks."""
    world, rule = World(8), replace(RULE, level=0.5, min_effect=0.0)
    looks = [evaluate(world.profile, world.window(500), rule) for _ in range(200)]
    false = sum(any(score.drifted for score in look.scores().values()) for look in looks)
    assert 0 < false <= 100


@pytest.mark.parametrize(("n", "shift"), [(500, 0.8), (2000, 0.5)])
def test_the_feature_that_has_shifted_is_found_and_named_and_no_other(n, shift):
    world = World(7)
    for _ in range(20):
        scores = evaluate(world.profile, world.window(n, shift), RULE).scores()
        assert [name for name, score in scores.items() if score.drifted] == ["n3"]
        assert scores["n3"].score >= 1
        assert scores["n3"].distance >= 0.1


def test_a_difference_below_the_least_effect_is_no_alarm_however_sure():
    world = World(9)
    score = evaluate(world.profile, world.window(50_000, 0.15), RULE).features["n3"]
    assert score.score > 1
    assert score.distance < 0.1
    assert not score.drifted


def small(values, kind, predictions=(0.5,)):
    return Profile.build("churn", "classification", [], {"x": np.array(values)}, {"x": kind}, np.array(predictions))


@pytest.mark.parametrize(
    ("reference", "live", "kind"),
    [
        pytest.param([7.0] * 5000, [7.0] * 900 + [7.5] * 100, "number", id="a constant begins to vary"),
        pytest.param([0.0, 1.0] * 2500, [0.0, 1.0] * 470 + [np.nan] * 60, "number", id="values go missing"),
        pytest.param([0.0, 1.0] * 2500, [0.0, 1.0] * 470 + [99.0] * 60, "number", id="another unit"),
        pytest.param([*"ab"] * 2500, [*"ab"] * 470 + ["new"] * 60, "category", id="a new category"),
        pytest.param([*"ab"] * 2500, [*"ab"] * 470 + [None] * 60, "category", id="categories go missing"),
        pytest.param([np.nan] * 5000, [np.nan] * 900 + [1.0] * 100, "number", id="an absent column begins"),
    ],
)
def test_what_the_reference_never_had_is_found(reference, live, kind):
    profile = small(np.array(reference, dtype=object if kind == "category" else float), kind, np.full(5000, 0.5))
    counts = profile.count({"x": np.array(live, dtype=object if kind == "category" else float)})
    look = evaluate(profile, Window(1000, counts, profile.count_predictions(np.full(1000, 0.5))), RULE)
    assert look.features["x"].drifted
    assert not look.prediction.drifted


def test_a_shift_of_the_prediction_is_found_as_such():
    world = World(10)
    window = replace(world.window(1000), prediction=world.profile.count_predictions(world.rng.beta(3, 4, 1000)))
    assert [n for n, s in evaluate(world.profile, window, RULE).scores().items() if s.drifted] == ["prediction"]


def test_too_few_events_are_scored_and_never_drifted():
    world = World(11)
    look = evaluate(world.profile, world.window(499, 3.0), RULE)
    assert not look.enough
    assert look.features["n3"].score > 1
    assert not look.features["n3"].drifted


def test_without_events_there_is_no_look():
    world = World(12)
    assert evaluate(world.profile, VersionCounts(world.profile, 10).window(), RULE) is None


def test_a_column_called_prediction_keeps_its_name():
    assert prediction_name({"age": 1}) == "prediction"
    assert prediction_name({"prediction": 1}) == "prediction_"


@pytest.mark.parametrize(
    ("current", "events", "chosen"),
    [
        (None, {}, None),
        (None, {"1": 0}, None),
        (None, {"1": 5, "2": 9}, "2"),
        ("1", {"1": 5, "2": 9}, "1"),
        ("1", {"1": 5, "2": 10}, "2"),
        ("1", {"1": 0, "2": 0}, "1"),
        ("1", {"1": 0, "2": 1}, "2"),
        ("1", {"2": 0}, None),
    ],
)
def test_the_version_with_most_events_is_looked_at_without_flapping(current, events, chosen):
    assert choose(current, events) == chosen


def look(*drifted, enough=True, names=("age", "plan")):
    def score(name):
        return Score(0.3, 4.0, True) if name in drifted else Score(0.01, 0.2, False)

    return Look(800, enough, {name: score(name) for name in names}, score("prediction"))


class TestAlarm:
    def notices(self, *looks):
        """(at, firing, resolved) of each notice, with a window of five minutes: one look every 30 seconds."""
        alarm, result = Alarm(replace(RULE, look=30.0)), []
        for number, item in enumerate(looks):
            notice = alarm.step(item, number * 30.0)
            if notice:
                firing = [name for name, alert in notice.alerts.items() if alert.ends_at is None]
                assert notice.firing == bool(firing)
                result.append((number, firing, [name for name in notice.alerts if name not in firing]))
        return result

    def test_it_fires_after_as_many_looks_in_a_row_as_declared_and_is_over_after_as_many(self):
        looks = [look(), look("age"), look("age"), look("age"), look(), look(), look()]
        assert self.notices(*looks) == [(2, ["age"], []), (5, [], ["age"])]

    def test_a_single_drifted_look_is_not_enough(self):
        assert self.notices(*[look("age"), look()] * 10) == []

    def test_two_features_that_take_turns_are_no_row(self):
        assert self.notices(*[look("age"), look("plan")] * 10) == []

    def test_a_look_without_enough_events_breaks_the_row_and_ends_nothing(self):
        assert self.notices(look("age"), look(enough=False), look("age"), None, look("age")) == []
        looks = [look("age"), look("age"), look(enough=False), None, look(enough=False)]
        assert self.notices(*looks) == [(1, ["age"], [])]

    def test_it_is_repeated_every_window_while_it_fires(self):
        assert [number for number, *_ in self.notices(*[look("age")] * 32)] == [1, 11, 21, 31]

    @pytest.mark.parametrize("look_seconds", [31.0, 360.0, 7 * 86400 / 10])
    def test_with_a_longer_window_it_is_repeated_every_five_minutes_between_looks_too(self, look_seconds):
        alarm = Alarm(replace(RULE, look=look_seconds))
        alarm.step(look("age"), 0.0)
        assert alarm.repeat(1.0) is None
        assert alarm.step(look("age"), 2.0)
        assert [at for at in range(3, 1000) if alarm.repeat(float(at))] == [
            pytest.approx(302, abs=15),
            pytest.approx(602, abs=30),
            pytest.approx(902, abs=45),
        ]

    def test_between_looks_a_short_window_and_a_window_with_too_little_repeat_nothing(self):
        for rule, second in ((replace(RULE, look=30.0), look("age")), (RULE, look("age"))):
            alarm = Alarm(rule)
            alarm.step(look("age"), 0.0)
            assert alarm.step(second, 2.0)
            if rule is RULE:
                alarm.step(look("age", enough=False), 3.0)
            assert [at for at in range(4, 1000) if alarm.repeat(float(at))] == []
            assert alarm.firing

    def test_what_does_not_fire_is_not_repeated(self):
        alarm = Alarm(RULE)
        for at in range(0, 2000, 100):
            alarm.step(look(), float(at))
            assert alarm.repeat(at + 50.0) is None

    def test_another_feature_is_told_at_once_and_one_that_is_over_with_the_next_notice(self):
        looks = [look("age"), look("age"), look("plan"), look("plan"), look("plan")]
        assert self.notices(*looks) == [(1, ["age"], []), (3, ["plan"], ["age"])]

    def test_it_keeps_when_it_began_and_the_latest_score(self):
        alarm = Alarm(RULE)
        alarm.step(look("age"), 10.0)
        alarm.step(look("age"), 20.0)
        alarm.step(look(), 30.0)
        notice = alarm.step(look(), 40.0)
        assert (notice.alerts["age"].starts_at, notice.alerts["age"].ends_at) == (20, 40)
        assert notice.alerts["age"].score.distance == 0.01
        assert notice.events == 800

    def test_what_grows_fires_at_the_second_glance_in_a_row_and_only_looks_end_it(self):
        alarm, found = Alarm(RULE), look("age").features
        assert alarm.glance(found, 700, 1.0) is None
        assert alarm.glance(None, 700, 2.0) is None, "nothing new breaks no row"
        notice = alarm.glance(found, 700, 3.0)
        assert (notice.events, notice.alerts["age"].starts_at, notice.firing) == (700, 3, True)
        assert alarm.glance(found, 700, 4.0) is None, "it was told"
        assert alarm.glance(look().features, 700, 5.0) is None
        assert alarm.step(look(), 6.0) is None
        assert not alarm.step(look(), 7.0).firing

    def test_a_glance_in_between_that_finds_nothing_breaks_the_row(self):
        alarm = Alarm(RULE)
        assert [alarm.glance(look(*names).features, 700, 1.0) for names in (["age"], [], ["age"])] == [None] * 3
        assert not alarm.firing

    def test_closing_ends_what_fires_once(self):
        alarm = Alarm(RULE)
        alarm.step(look("age", "prediction"), 10.0)
        alarm.step(look("age", "prediction"), 20.0)
        notice = alarm.close(25.0)
        assert {name: alert.ends_at for name, alert in notice.alerts.items()} == {"age": 25, "prediction": 25}
        assert alarm.close(26.0) is None


def test_the_ranking_has_the_drifted_first_and_the_farthest_of_them_before_all():
    features = {"a": Score(0.5, 0.9, False), "b": Score(0.2, 2.0, True), "c": Score(0.4, 1.5, True)}
    assert Look(800, True, features, Score(0.0, 0.1, False)).ranking() == ["c", "b", "a", "prediction"]


def test_repeated_events_count_for_fewer():
    world = World(13)
    window = world.window(2000, 0.5)
    plain, repeated = (evaluate(world.profile, window, RULE, {"n3": factor}).features["n3"] for factor in (1.0, 4.0))
    assert repeated.score == pytest.approx(plain.score / 4)
    assert repeated.distance < plain.distance
    assert not evaluate(world.profile, window, RULE, {"n3": 4.1}).features["n3"].drifted
