"""Seasons: a daily cycle is no drift, drift within it is found, and false alarms stay within the budget."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from loopwright.monitor.counters import VersionCounts
from loopwright.monitor.detector import Detector
from loopwright.monitor.drift import Rule, evaluate
from loopwright.monitor.layout import Layout
from loopwright.monitor.seasonal import SeasonalLayout, layout_of
from loopwright.statistics.distances import chi_square, jensen_shannon
from loopwright.statistics.profile import Profile
from loopwright.statistics.seasons import Seasonality

RULE = Rule(look=360.0, looks=10, level=1 / 43200, min_effect=0.1, min_events=500, persistence=2, sequential=1 / 43200)
LOOSE = replace(RULE, level=0.005, sequential=0.005, min_effect=0.0, min_events=100)
MONDAY = datetime(2025, 6, 2, tzinfo=UTC)
HOURS = Seasonality("hour")


class Day:
    """Traffic with a daily cycle: at night there is less of it, of other people, who buy other things."""

    def __init__(self, seed, rows=30_000, by=HOURS, cycle=1.0):
        self.rng, self.cycle = np.random.default_rng(seed), cycle
        hours = self.rng.choice(24, rows, p=self.volume(np.arange(24)) / self.volume(np.arange(24)).sum())
        predicted = self.rng.choice(24, rows // 4)
        self.profile = Profile.build(
            "churn",
            "classification",
            ["No", "Yes"],
            self.columns(hours),
            {"age": "number", "plan": "category", "steady": "number"},
            self.scores(predicted),
            seasonality=by,
            seasons=(hours, predicted),
        )
        self.counts, self.at = VersionCounts(self.profile, 10), MONDAY

    def volume(self, hour):
        return 1 + 0.8 * np.sin(2 * np.pi * hour / 24)

    def columns(self, hours, shift=0.0):
        wave = self.cycle * np.sin(2 * np.pi * hours / 24)
        return {
            "age": self.rng.normal(wave + shift, 1.0),
            "plan": np.where(self.rng.random(len(hours)) < 0.5 + 0.3 * wave, "premium", "basic").astype(object),
            "steady": self.rng.normal(size=len(hours)),
        }

    def scores(self, hours):
        return self.rng.beta(2 + self.cycle * np.sin(2 * np.pi * hours / 24), 4)

    def look(self, n=300, shift=0.0, repeats=1):
        """Six minutes of traffic, n events at the mean; gives what a detector takes in."""
        number = max(int(n * self.volume(self.at.hour)) // repeats, 1)
        hours = np.full(number, self.at.hour)
        columns = {name: np.repeat(values, repeats) for name, values in self.columns(hours, shift).items()}
        self.counts.add(columns, np.repeat(self.scores(hours), repeats), None, self.counts.season(self.at))
        window, totals = self.counts.window(), self.counts.totals()
        self.counts.mark()
        self.at += timedelta(minutes=6)
        return window, totals


def step(detector, window, totals):
    """One look, with a glance at it."""
    detector.glance(totals)
    return detector.look(window)


def begun(day, rule, looks, **traffic):
    """(alarms that begin, looks at which anything has drifted)."""
    detector, number, drifted, before = Detector(day.profile, rule), 0, 0, False
    for _ in range(looks):
        look = step(detector, *day.look(**traffic))
        now = any(score.drifted for score in look.scores().values())
        number, drifted, before = number + (now and not before), drifted + now, now
    return number, drifted


def test_a_window_is_held_against_the_mixture_of_its_seasons():
    day = Day(1)
    for _ in range(14):
        window, totals = day.look()
    layout = layout_of(day.profile)
    assert isinstance(layout, SeasonalLayout)
    assert layout.strata[0] <= 24
    mixture = layout.at(window.seasons)
    assert window.seasons[:2].sum() == window.events
    assert (window.seasons[:2] > 0).all()
    weights = window.seasons / window.events
    for name, bins in day.profile.features.items():
        of_season = bins.seasonal / bins.seasonal.sum(axis=1, keepdims=True)
        found = mixture.features[name].counts
        assert found / found.sum() == pytest.approx(weights @ of_season)
        rows = bins.seasonal.sum(axis=1)
        assert found.sum() == pytest.approx(min(rows[:2] / weights[:2]))
    flat = layout.flat(totals)
    assert layout.sums(flat).tolist() == [totals.events] * len(layout.names)
    since = layout.divergence(flat[np.newaxis], np.ones(len(layout.names)))[0]
    against = layout.at(totals.seasons)
    for i, name in enumerate(layout.names[:3]):
        expected = jensen_shannon(against.features[name].counts, totals.features[name])
        assert np.sqrt(since[i]) == pytest.approx(expected, abs=1e-9)


def test_without_seasons_the_layout_is_the_plain_one():
    day = Day(2, by=None)
    assert type(layout_of(day.profile)) is Layout
    assert day.look()[0].seasons is None


def test_what_differs_between_hours_is_not_taken_for_repeats():
    day = Day(3)
    layout = layout_of(day.profile)
    plain, hours = Layout(day.profile), []
    for _ in range(12):
        before = layout.flat(day.counts.totals())
        for _ in range(10):
            _, totals = day.look()
        hours.append(layout.flat(totals) - before)
    pairs = list(pairwise(hours))
    found, cycle = np.zeros(5), np.zeros(5)
    for first, second in pairs:
        statistic, free = layout.homogeneity(first, second)
        found += statistic / free / len(pairs)
        statistic, free = plain.homogeneity(layout._together(first), layout._together(second))
        cycle += statistic / free / len(pairs)
    # An hour against the next: about one, where the cycle alone makes many times as much.
    assert (found[[0, 1, 4]] < 1.8).all()
    assert (cycle[[0, 1]] > 4).all()


def test_windows_of_one_season_are_compared_as_without_seasons():
    day = Day(3)
    layout, plain = layout_of(day.profile), Layout(day.profile)
    first = layout.flat(day.look()[1])
    second = layout.flat(day.look()[1]) - first
    statistic, _ = layout.homogeneity(first, second)
    expected, _ = plain.homogeneity(layout._together(first), layout._together(second))
    assert statistic == pytest.approx(expected, rel=0.5)


def test_a_daily_cycle_raises_alarms_without_a_seasonality_and_none_with_it():
    assert begun(Day(4, by=None), RULE, 130)[1] > 30
    assert begun(Day(4), RULE, 130) == (0, 0)


@pytest.mark.parametrize("hour", [4, 16])
def test_drift_is_found_by_day_and_by_night(hour):
    day = Day(5)
    detector = Detector(day.profile, RULE)
    for _ in range(10 * hour):
        look = step(detector, *day.look())
        assert not any(score.drifted for score in look.scores().values())
    for _ in range(10):
        look = step(detector, *day.look(shift=0.6))
    assert look.features["age"].drifted
    assert not look.features["steady"].drifted


@pytest.mark.long
@pytest.mark.parametrize("repeats", [1, 10])
def test_the_budget_holds_under_a_strong_daily_cycle(repeats):
    """6 streams of 300 looks at a level of 0.01 each: 18 are allowed; any distance counts as an effect."""
    found = [begun(Day(100 + seed), LOOSE, 300, repeats=repeats) for seed in range(6)]
    assert sum(number for number, _ in found) <= 18
    assert sum(drifted for _, drifted in found) <= 5 * 18


@pytest.mark.long
def test_without_seasons_the_cycle_breaks_the_budget():
    """One stream of 100 looks, where 1 is allowed."""
    assert begun(Day(100, by=None), replace(LOOSE, sequential=0.0, level=0.01), 100)[1] > 30


@pytest.mark.long
def test_the_budget_holds_of_inputs_with_small_seasons():
    """10,000 rows are 400 an hour, and at night the hours are joined; the windowed test alone, 1 % a look."""
    rule, false = replace(LOOSE, sequential=0.0, level=0.01), 0
    for seed in range(20):
        day = Day(200 + seed, rows=10_000)
        layout = layout_of(day.profile)
        for _ in range(24):
            day.counts = VersionCounts(day.profile, 10)
            for _ in range(10):
                window, _ = day.look(200)
            look = evaluate(layout.at(window.seasons), window, rule)
            false += any(look.features[name].drifted for name in ("age", "plan", "steady"))
    assert false <= 20 * 24 * 0.01


def test_growing_evidence_holds_a_window_less_shift_against_the_hours_it_came_in():
    """Thirty events a look never fill a window; evidence grows over the hours, whose references differ."""
    day = Day(6)
    detector = Detector(day.profile, RULE)
    for _ in range(120):
        look = step(detector, *day.look(30))
        assert not any(score.drifted for score in look.scores().values())
    for _ in range(60):
        look = step(detector, *day.look(30, shift=0.6))
    assert look.features["age"].drifted
    assert look.features["age"].by == "growing"


@pytest.mark.long
def test_the_chi_square_of_a_mixture_is_no_larger_than_its_degrees_say():
    """The mean over many windows and references, where the window covers three hours of different size."""
    ratios = []
    for seed in range(40):
        day = Day(300 + seed, rows=12_000)
        for _ in range(25):
            window, _ = day.look(100)
        test = chi_square(layout_of(day.profile).at(window.seasons).features["age"].counts, window.features["age"])
        ratios.append(test.statistic / 10)
    assert np.mean(ratios) <= 1.15
