"""Seasons by the wall clock, strata of enough rows, mixtures that never claim more rows than they have."""

from datetime import UTC, datetime

import numpy as np
import pytest

from loopwright.statistics.profile import MOST_NUMBERS, Profile
from loopwright.statistics.seasons import LEAST_ROWS, NUMBER, Seasonality, Strata
from loopwright.statistics.shifts import Shifts, StratifiedShifts


@pytest.mark.parametrize(
    ("by", "zone", "moment", "season"),
    [
        ("hour", "UTC", "2026-03-29T00:30", 0),
        ("hour", "Europe/Berlin", "2026-03-29T00:30", 1),
        # The clocks were put forward at 1:00 UTC: two hours ahead from then on.
        ("hour", "Europe/Berlin", "2026-03-29T01:30", 3),
        ("weekday", "UTC", "2026-03-29T23:30", 6),
        ("weekday", "Asia/Tokyo", "2026-03-29T23:30", 0),
        ("hour_of_week", "UTC", "2026-03-29T23:30", 167),
        ("month", "UTC", "2026-12-31T23:30", 11),
        ("month", "Asia/Tokyo", "2026-12-31T23:30", 0),
    ],
)
def test_the_season_of_a_moment_is_that_of_the_time_zone(by, zone, moment, season):
    found = Seasonality(by, zone)
    assert found.at(datetime.fromisoformat(moment).replace(tzinfo=UTC)) == season
    assert season < NUMBER[by]


def test_seasons_of_few_rows_are_joined_with_those_that_follow():
    rows = np.array([500, 150, 60, 10, 300, 20])
    strata = Strata(rows, rows[:, np.newaxis] * np.array([[1, 0]]))
    assert strata.of.tolist() == [0, 1, 1, 2, 2, 2]
    assert strata.rows.tolist() == [500, 210, 330]
    assert (strata.rows >= LEAST_ROWS).all()


def test_too_few_rows_in_all_are_one_stratum():
    strata = Strata(np.full(24, 5), np.full((24, 3), 5))
    assert strata.of.tolist() == [0] * 24
    assert strata.mixture(np.array([7])).tolist() == [120, 120, 120]


def test_a_mixture_stands_for_the_largest_sample_with_its_proportions():
    rows = np.array([1000, 300])
    strata = Strata(rows, np.array([[900, 100], [30, 270]]))
    assert strata.mixture(np.array([10, 0])) == pytest.approx([900, 100])
    # Half and half: 300 rows of each.
    assert strata.mixture(np.array([50, 50])) == pytest.approx([270 + 30, 30 + 270])
    assert strata.mixture(np.array([1000, 300])) == pytest.approx([930, 370])
    assert strata.mixture(np.zeros(2)) == pytest.approx([930, 370])
    assert strata.mixture(np.array([[10, 0], [50, 50]])).shape == (2, 2)


def test_the_variance_of_a_mixture_is_at_most_that_of_the_rows_it_stands_for():
    rng = np.random.default_rng(3)
    rows, shares, weights = np.array([300, 900, 2000]), np.array([0.1, 0.5, 0.9]), np.array([0.5, 0.3, 0.2])
    drawn = rng.binomial(rows, shares, (4000, 3))
    found, size = [], []
    for counts in drawn:
        mixture = Strata(rows, np.stack([counts, rows - counts], axis=1)).mixture(weights * 1000)
        found.append(mixture[0] / mixture.sum())
        size.append(mixture.sum())
    expected = (weights * shares).sum()
    assert np.mean(found) == pytest.approx(expected, abs=0.002)
    assert np.var(found) <= expected * (1 - expected) / np.mean(size)


def build(features, by, rows=400):
    rng = np.random.default_rng(1)
    seasons = np.arange(rows) % NUMBER[by]
    columns = {f"f{i}": rng.normal(size=rows) for i in range(features)}
    return Profile.build(
        "big", "regression", [], columns, dict.fromkeys(columns, "number"), rng.normal(size=rows),
        seasonality=Seasonality(by), seasons=(seasons, seasons),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("features", "by", "kept"),
    [
        (10, "hour_of_week", "hour_of_week"),
        (100, "hour_of_week", "hour"),
        (400, "hour", None),
        (400, "weekday", "weekday"),
    ],
)
def test_the_profile_is_bounded(features, by, kept):
    profile = build(features, by)
    assert (profile.seasonality and profile.seasonality.by) == kept
    if kept:
        numbers = sum(bins.seasonal.size for bins in [*profile.features.values(), profile.prediction])
        assert numbers <= MOST_NUMBERS
    assert len(profile.to_json()) < 1_000_000


def test_seasons_survive_the_json_and_rows_without_a_time_are_in_none():
    seasons = np.array([0, 1, -1, 23] * 50)
    profile = Profile.build(
        "x", "regression", [], {"a": np.arange(200.0)}, {"a": "number"}, np.arange(200.0),
        seasonality=Seasonality("hour", "Europe/Berlin"), seasons=(seasons, seasons),
    )  # fmt: skip
    again = Profile.from_json(profile.to_json())
    assert again.to_json() == profile.to_json()
    assert again.seasonality == Seasonality("hour", "Europe/Berlin")
    assert again.features["a"].seasonal.sum() == 150
    assert again.features["a"].counts.sum() == 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("seasonality"), "counted by 24 seasons; expected None"),
        (lambda c: c["seasonality"].update(by="day"), "no such seasonality: 'day'"),
        (lambda c: c["seasonality"].update(timezone="Atlantis/Poseidonis"), "no such seasonality: 'hour'"),
        (lambda c: c["prediction"].pop("seasons"), "counted by None seasons; expected 24"),
        (lambda c: c["prediction"]["seasons"].pop(), "counted by 23 seasons; expected 24"),
        (lambda c: c["prediction"]["seasons"][0].__setitem__(3, 10**6), "the seasons are not parts of its counts"),
        (lambda c: c["prediction"]["seasons"][0].__setitem__(3, -1), "the seasons are not parts of its counts"),
        (lambda c: c["prediction"]["seasons"].__setitem__(0, [1]), "inhomogeneous|not parts"),
    ],
)
def test_a_profile_with_damaged_seasons_says_what_is_wrong(change, message):
    import json

    content = json.loads(build(1, "hour").to_json())
    change(content)
    with pytest.raises(ValueError, match=message):
        Profile.from_json(json.dumps(content))


class TestStratifiedShifts:
    P = np.full(10, 0.1)

    def test_one_stratum_is_as_none(self):
        rng = np.random.default_rng(4)
        reference, live = rng.multinomial(3000, self.P), rng.multinomial(900, self.P)
        alone = Shifts(tuple(reference.astype(float)), True, 0.1).log_e(live)
        assert StratifiedShifts(reference[np.newaxis], True, 0.1).log_e(live[np.newaxis]) == pytest.approx(alone)

    def test_an_e_value_is_one_on_average_over_references_and_traffic(self):
        rng, found = np.random.default_rng(5), []
        night = np.arange(1, 11) / 55
        for _ in range(1200):
            reference = np.stack([rng.multinomial(400, p) for p in (self.P, night)]).astype(float)
            live = np.stack([rng.multinomial(n, p) for n, p in ((100, self.P), (40, night))])
            found.append(np.exp(StratifiedShifts(reference, True, 0.1).log_e(live)))
        assert np.mean(found) <= 1.1
        assert np.mean(np.array(found) >= 20) <= 1 / 20

    def test_the_same_shift_in_all_strata_adds_up(self):
        rng = np.random.default_rng(6)
        reference = np.stack([rng.multinomial(2000, self.P) for _ in range(6)]).astype(float)
        shifted = self.P * np.exp(0.35 * np.linspace(-1.5, 1.5, 10))
        live = np.stack([rng.multinomial(150, shifted / shifted.sum()) for _ in range(6)])
        both = StratifiedShifts(reference, True, 0.1)
        alone = [Shifts(tuple(one), True, 0.1).log_e(now) for one, now in zip(reference, live, strict=True)]
        assert both.log_e(live) > sum(alone) + 2
        assert both.log_e(np.zeros((6, 10))) == pytest.approx(0.0)
