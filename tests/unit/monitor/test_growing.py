"""Growing evidence: keeps its budget at every look, finds what no window can, and ends with the drift."""

from dataclasses import replace

import numpy as np
import pytest

from loopwright.monitor.detector import Detector
from loopwright.monitor.drift import Alarm, Look, Rule, Score, Window
from loopwright.monitor.growing import Growing
from loopwright.monitor.layout import Layout
from loopwright.statistics.distances import chi_square, jensen_shannon
from loopwright.statistics.profile import CategoryBins, NumberBins, Profile

RULE = Rule(look=360.0, looks=10, level=1 / 43200, min_effect=0.1, min_events=500, persistence=2, sequential=1 / 43200)
NUMBER = np.r_[0.0, 0.0, np.full(10, 0.1), 0.0]
CATEGORY = np.r_[0.01, 0.04, 0.6, 0.25, 0.1]
EDGES = np.array([-3.0, -1.2816, -0.8416, -0.5244, -0.2533, 0.0, 0.2533, 0.5244, 0.8416, 1.2816, 3.0])


class Traffic:
    """Features and a prediction as bins, drawn as counts: a reference of m rows, and looks of n."""

    def __init__(self, seed, numbers=3, categories=2, m=5000):
        self.rng = np.random.default_rng(seed)
        self.shares = {f"n{i}": NUMBER for i in range(numbers)} | {f"c{i}": CATEGORY for i in range(categories)}
        bins = {
            name: NumberBins(EDGES, self.rng.multinomial(m, p))
            if name[0] == "n"
            else CategoryBins(("a", "b", "c"), self.rng.multinomial(m, p))
            for name, p in self.shares.items()
        }
        prediction = NumberBins(EDGES, self.rng.multinomial(m, NUMBER))
        self.profile = Profile("churn", "classification", ("No", "Yes"), m, None, bins, prediction)
        self.recent = []

    def look(self, n, repeats=1, **shares):
        """One look's (window, totals), of n events that are n / repeats different ones."""
        counts = {
            name: self.rng.multinomial(n // repeats, shares.get(name, p)) * repeats for name, p in self.shares.items()
        }
        self.recent.append((counts, self.rng.multinomial(n // repeats, NUMBER) * repeats))
        return self._sum(self.recent[-RULE.looks :]), self._sum(self.recent)

    def _sum(self, parts):
        features = {name: sum(counts[name] for counts, _ in parts) for name in self.shares}
        prediction = sum(counts for _, counts in parts)
        return Window(int(prediction.sum()), features, prediction)


def step(detector, window, totals):
    """A look, which is a glance too."""
    detector.glance(totals)
    return detector.look(window)


def shifted(by):
    """The shares of the ten intervals when a normal distribution moves by so many standard deviations."""
    from statistics import NormalDist

    inner = [NormalDist().cdf(edge - by) for edge in EDGES[1:-1]]
    return np.r_[0, 0, np.diff([0, *inner, 1]), 0]


def test_the_vectors_say_what_the_distances_say():
    traffic = Traffic(1)
    layout = Layout(traffic.profile)
    first, second = (layout.flat(traffic.look(400)[1]) for _ in range(2))
    factors = np.arange(1.0, 7.0)
    found = layout.divergence(np.stack([first, second]), factors)
    statistics, degrees = layout.homogeneity(first, second)
    for i, name in enumerate(layout.names):
        r, o, w = (layout.part(counts, name) for counts in (layout.reference, second, first))
        assert np.sqrt(found[1, i]) == pytest.approx(jensen_shannon(r, o, dispersion=factors[i]), abs=1e-9)
        assert statistics[i] == pytest.approx(chi_square(w, o).statistic)
        assert degrees[i] == np.count_nonzero(w + o) - 1


def test_the_levels_of_all_starts_add_up_to_the_levels_of_the_looks():
    growing = Growing(Layout(Traffic(2).profile), RULE)
    orders = [min((look & -look).bit_length() - 1, growing._greatest) for look in range(1, 2**16 + 1)]
    spent = sum(growing.level(order) for order in orders) * 6  # features and the prediction
    assert spent == pytest.approx(2**16 * RULE.sequential, rel=0.01)


def test_starts_stay_few_however_long_it_runs():
    traffic = Traffic(3, numbers=1, categories=0)
    layout = Layout(traffic.profile)
    growing = Growing(layout, RULE)
    for _ in range(3000):
        growing.step(np.zeros_like(layout.reference), np.ones(2))
    assert len(growing._starts) <= 3 * (growing._greatest + 1)


def false_alarms(looks, n, rule, *, repeats=1, streams=1):
    """(alarms that begin without drift, looks at which anything has drifted): one that never ends is no better."""
    number = looks_drifted = 0
    for seed in range(streams):
        traffic, before = Traffic(100 + seed), False
        detector = Detector(traffic.profile, rule)
        for _ in range(looks):
            look = step(detector, *traffic.look(n, repeats))
            drifted = any(score.drifted for score in look.scores().values())
            number += drifted and not before
            looks_drifted += drifted
            before = drifted
    return number, looks_drifted


def test_without_drift_false_alarms_are_within_a_budget_that_a_small_simulation_can_see():
    """800 looks at a level of 0.01 each, of two parts: 8 are allowed; any distance counts as an effect."""
    rule = replace(RULE, level=0.005, sequential=0.005, min_effect=0.0, min_events=100)
    begun, drifted = false_alarms(100, 100, rule, streams=8)
    assert begun <= 8
    assert drifted <= 5 * 8


@pytest.mark.long
@pytest.mark.parametrize("repeats", [1, 5, 30])
def test_the_budget_holds_with_and_without_repeats(repeats):
    """3,000 looks at a level of 0.01 each: 30 are allowed, from the first look on."""
    rule = replace(RULE, level=0.005, sequential=0.005, min_effect=0.0, min_events=100)
    begun, drifted = false_alarms(200, 300, rule, repeats=repeats, streams=15)
    assert begun <= 30
    assert drifted <= 5 * 30


@pytest.mark.long
@pytest.mark.parametrize("repeats", [1, 5])
def test_the_budget_holds_at_glances_between_the_looks_too(repeats):
    """600 looks at a level of 0.01 for what grows, spread over ten glances each: 6 alarms are allowed."""
    rule = replace(RULE, level=0.01, sequential=0.001, glances=10, min_effect=0.0, min_events=100)
    begun = 0
    for seed in range(6):
        traffic, alarm = Traffic(300 + seed), Alarm(rule)
        detector = Detector(traffic.profile, rule)
        for number in range(1, 1001):
            window, totals = traffic.look(50, repeats)
            grown = detector.glance(totals)
            before = set(alarm.firing)
            alarm.glance(grown, window.events, float(number))
            begun += bool(set(alarm.firing) - before)
            if number % 10 == 0:
                # Only what grows is put to the proof: the look teaches it how much events repeat.
                detector.look(window)
                alarm.step(Look(500, True, *_nothing(traffic.profile)), float(number))
    assert begun <= 6


def _nothing(profile):
    calm = Score(0.0, 0.0, False)
    return dict.fromkeys(profile.features, calm), calm


def delay(seed, by, n, most, rule=RULE):
    traffic = Traffic(seed)
    detector = Detector(traffic.profile, rule)
    for _ in range(30):
        look = step(detector, *traffic.look(n))
        assert not any(score.drifted for score in look.scores().values())
    for number in range(1, most + 1):
        look = step(detector, *traffic.look(n, n1=shifted(by)))
        if look.features["n1"].drifted:
            return number, look
    raise AssertionError(f"not found in {most} looks")


def test_a_shift_that_is_too_small_for_a_window_is_found_and_named():
    """0.27 standard deviations are hardly more than the least effect: a window of 5,000 has to be full of it."""
    alone, delays = replace(RULE, level=2 * RULE.level, sequential=0.0), []
    for seed in range(4):
        number, look = delay(seed, 0.27, 500, 100)
        assert [name for name, score in look.scores().items() if score.drifted] == ["n1"]
        assert look.features["n1"].by == "growing"
        assert look.ranking()[0] == "n1"
        delays.append((number, delay(seed, 0.27, 500, 100, alone)[0]))
    both, window = np.median(delays, axis=0)
    assert both <= 4
    assert window >= 2 * both


def test_a_large_sudden_shift_is_found_before_the_window_is_full_of_it():
    assert max(delay(seed, 1.0, 5000, 5)[0] for seed in range(3)) == 1


def test_traffic_too_thin_for_any_window_is_watched_too():
    """Twenty events a look are 200 a window; growing evidence waits until it has its 500."""
    number, look = delay(9, 1.0, 20, 60)
    assert look.enough
    assert look.events == 200
    assert number <= 35


def test_what_does_not_matter_is_no_alarm_however_long_it_stays():
    traffic = Traffic(11)
    detector = Detector(traffic.profile, RULE)
    for _ in range(150):
        look = step(detector, *traffic.look(2000, n1=shifted(0.1)))
        assert not any(score.drifted for score in look.scores().values())


def test_it_ends_with_the_drift():
    traffic = Traffic(12)
    detector = Detector(traffic.profile, RULE)
    looks = [step(detector, *traffic.look(100, n1=shifted(0.5))) for _ in range(100)]
    assert looks[-1].features["n1"].drifted
    for _ in range(30):
        look = step(detector, *traffic.look(100))
    assert not look.features["n1"].drifted


def test_without_new_events_nothing_grows():
    traffic = Traffic(13)
    detector = Detector(traffic.profile, RULE)
    for _ in range(40):
        window, totals = traffic.look(100, n1=shifted(0.5))
        step(detector, window, totals)
    thin = replace(window, events=10)
    assert not step(detector, thin, totals).enough


def test_a_glance_finds_a_sudden_shift_long_before_the_next_look():
    """Ten glances a look: a whole sigma is sure within three of them, at a tenth of the level each."""
    rule = replace(RULE, sequential=RULE.sequential / 10, glances=10)
    traffic = Traffic(14)
    detector = Detector(traffic.profile, rule)
    for _ in range(10):
        for _ in range(9):
            found = detector.glance(traffic.look(100)[1])
            assert not any(score.drifted for score in (found or {}).values())
        step(detector, *traffic.look(100))
    found = [detector.glance(traffic.look(100, n1=shifted(1.0))[1]) for _ in range(3)]
    assert [name for name, score in found[-1].items() if score.drifted] == ["n1"]
    assert found[-1]["n1"].by == "growing"
    assert detector.glance(traffic._sum(traffic.recent)) is None


def test_traffic_that_comes_in_bursts_is_watched_too():
    """One burst a day, in one look of its own: neighbouring looks are empty, and say nothing."""
    traffic = Traffic(15)
    detector = Detector(traffic.profile, RULE)
    found = []
    for day in range(12):
        for number in range(20):
            n = 2000 if number == 0 else 0
            look = step(detector, *traffic.look(n, **({"n1": shifted(2.0)} if day >= 4 else {})))
            found.append(look is not None and look.features["n1"].drifted)
    assert not any(found[: 4 * 20])
    assert any(found[4 * 20 :])


def test_what_grew_does_not_end_between_two_bursts_that_show_it():
    """Six hundred events in the first of ten looks, all of them shifted by too little for one window."""
    traffic = Traffic(16)
    detector, alarm, begun = Detector(traffic.profile, RULE), Alarm(RULE), 0
    for number in range(400):
        look = step(detector, *traffic.look(600 if number % 10 == 0 else 0, n1=shifted(0.33)))
        before = set(alarm.firing)
        alarm.step(look, float(number))
        begun += bool(set(alarm.firing) - before)
    assert "n1" in alarm.firing
    assert begun <= 4
