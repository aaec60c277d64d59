"""Rates come from cumulative counts whatever happened to the counter, and thinning keeps totals and peaks."""

import pytest

from loopwright.report import series


def counted(*lines):
    return [{"at": at, "requests": requests, "errors": {}} for at, requests in lines]


def rates(found):
    return [[dict(span.rates) for span in run] for run in found.runs]


def test_a_rate_is_the_growth_of_the_count_over_the_time_between_two_samples():
    found = series.traffic(counted((10, {"1": 100}), (12, {"1": 500}), (13, {"1": 600})))
    assert rates(found) == [[{"1": 200}, {"1": 100}]]
    assert found.requests == {"1": 500}


def test_a_count_that_fell_began_at_zero_again():
    found = series.traffic(counted((0, {"1": 900}), (1, {"1": 1000}), (2, {"1": 30}), (3, {"1": 130})))
    assert rates(found) == [[{"1": 100}, {"1": 30}, {"1": 100}]]


def test_a_version_that_comes_began_at_zero_and_one_that_goes_has_no_rate():
    found = series.traffic(counted((0, {"1": 50}), (1, {"1": 140, "2": 10}), (2, {"2": 110})))
    assert rates(found) == [[{"1": 90, "2": 10}, {"2": 100}]]
    assert found.versions == ("1", "2")


def test_a_long_silence_is_a_gap_and_not_a_slope():
    lines = [(second, {"1": 100 * second}) for second in (*range(10), *range(60, 70))]
    found = series.traffic(counted(*lines))
    assert [(run[0].begin, run[-1].end) for run in found.runs] == [(0, 9), (60, 69)]
    assert found.requests == {"1": 1800}


def test_a_clock_that_was_set_back_makes_no_negative_time():
    found = series.traffic(counted((10, {"1": 0}), (11, {"1": 100}), (5, {"1": 150}), (12, {"1": 300})))
    assert rates(found) == [[{"1": 100}, {"1": 200}]]


def test_nothing_comes_of_nothing():
    assert series.traffic([]).runs == ()
    assert series.traffic(counted((1, {"1": 5}))).runs == ()
    assert series.drift([], 0.1).distance == ()
    assert series.extent([]) == (0.0, 0.0)


def test_thinned_traffic_keeps_its_total():
    found = series.traffic(counted(*((second, {"1": 7 * second + second % 3}) for second in range(5001))))
    (run,) = found.runs
    assert len(run) <= series.MOST_POINTS + 1
    assert found.seconds_a_point == pytest.approx(5000 / series.MOST_POINTS)
    assert sum(span.rates["1"] * span.seconds for span in run) == pytest.approx(35_002)


def drifting(values, score=5.0, version="1", begin=0):
    drift = [{"age": {"distance": value, "score": score}} for value in values]
    return [{"at": begin + at, "drift": one, "drift_version": version} for at, one in enumerate(drift)]


def test_a_feature_has_drifted_where_distance_and_score_are_both_great_enough():
    assert series.drift(drifting([0.05, 0.2]), 0.1).distance[0].drifted
    assert not series.drift(drifting([0.05, 0.09]), 0.1).distance[0].drifted
    assert not series.drift(drifting([0.05, 0.2], score=0.9), 0.1).distance[0].drifted


def test_thinned_drift_keeps_its_peak():
    values = [0.0] * 4000
    values[1777] = 0.9
    (line,) = series.drift(drifting(values), 0.1).distance
    assert line.peak == 0.9
    assert len(line.parts[0].points) <= series.MOST_POINTS + 1


def test_a_line_is_broken_where_another_version_is_looked_at():
    samples = drifting([0.5, 0.5, 0.5]) + drifting([0.01, 0.01], version="2", begin=3)
    found = series.drift(samples, 0.1)
    assert [(len(part.points), part.drifted) for part in found.distance[0].parts] == [(3, True), (2, False)]
    assert found.switches == ((0, "1"), (3, "2"))


def test_numbers_that_are_not_finite_are_not_drawn():
    (line,) = series.drift(drifting([0.1, float("nan"), 0.3]), 0.1).distance
    assert [value for _, value in line.parts[0].points] == [0.1, 0.3]
    assert series.drift(drifting([float("nan")]), 0.1).distance == ()
