"""The same entities from both sides: what differs is found and counted, and nothing else is."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from loopwright import declaration
from loopwright.errors import DataError
from loopwright.performance.skew import compare

START = pd.Timestamp("2026-03-01", tz="UTC")


@pytest.fixture
def loop(small_declaration):
    return declaration.parse(small_declaration + "monitor: {skew: {max_share: 0.05, max_share_of: {plan: 0.5}}}")


def sides(rows=400, seed=5):
    """Offline, a row an entity and day for three days; online, a prediction of each in the middle of day two."""
    rng = np.random.default_rng(seed)
    days = [
        pd.DataFrame(
            {
                "customer": [f"c{number}" for number in range(rows)],
                "seen": START + timedelta(days=day),
                "age": rng.integers(18, 90, rows).astype(float),
                "spend": rng.gamma(2, 20, rows),
                "plan": rng.choice(["basic", "premium"], rows),
            }
        )
        for day in range(3)
    ]
    online = days[1].assign(predicted_at=START + timedelta(days=1.5), prediction_id=np.arange(rows).astype(str))
    offline = pd.concat(days).sample(frac=1, random_state=seed)
    return offline, online.drop(columns="seen").sample(frac=1, random_state=seed + 1)


def by_name(found):
    return {one.feature: one for one in found.features}


def test_values_of_the_moment_of_the_prediction_are_the_same(loop):
    offline, online = sides()
    found = compare(loop, offline, online)
    assert (found.joined, found.unmatched, found.left) == (400, 0, ())
    assert [one.differ for one in found.features] == [0, 0, 0]
    # A day later other values hold, and the join would say so.
    late = compare(loop, offline, online.assign(predicted_at=START + timedelta(days=2, hours=1)))
    assert by_name(late)["spend"].share == 1


def test_types_and_float32_make_no_difference_and_more_does(loop):
    offline, online = sides()
    text = offline.assign(age=offline["age"].astype(int).astype(str), seen=offline["seen"].astype(str))
    stored = online.assign(spend=online["spend"].astype("float32").astype(float))
    assert not any(one.differ for one in compare(loop, text, stored).features)
    assert by_name(compare(loop, text, online.assign(spend=online["spend"] * 1.00001)))["spend"].share == 1


def test_what_differs_is_counted_with_its_size_and_examples(loop):
    offline, online = sides()
    wrong = online["prediction_id"].astype(int) < 100
    online["spend"] = online["spend"].where(~wrong, online["spend"] * 100)
    online["age"] = online["age"].where(online["prediction_id"].astype(int) >= 8, np.nan)
    online["plan"] = online["plan"].where(~wrong, "Basic")
    found = compare(loop, offline, online)
    one = by_name(found)
    assert found.features[0].feature == "spend"
    assert (one["spend"].differ, one["spend"].share, one["spend"].beyond) == (100, 0.25, True)
    assert one["spend"].mean_difference > 300
    assert (one["age"].missing_online, one["age"].missing_offline, one["age"].median_difference) == (8, 0, 0.0)
    # 2 % may be chance of a true share of up to 5 %; a quarter of the plans is below the limit of its own.
    assert not one["age"].beyond
    assert not one["plan"].beyond
    assert {(before, now) for before, now, _ in one["plan"].pairs} == {("basic", "Basic"), ("premium", "Basic")}
    example = one["spend"].examples[0]
    assert example["online"] == pytest.approx(100 * example["offline"])
    assert example["entity"] == "c" + example["prediction_id"]
    assert example["observed_at"].startswith("2026-03-02T00")


def test_few_rows_say_little_and_none_may_differ_where_none_is_declared(loop, small_declaration):
    offline, online = sides(rows=10)
    online["spend"] = online["spend"].where(online["prediction_id"] != "3", -1.0)
    assert not by_name(compare(loop, offline, online))["spend"].beyond
    strict = declaration.parse(small_declaration + "monitor: {skew: {max_share: 0}}")
    assert by_name(compare(strict, offline, online))["spend"].beyond


def test_an_offline_row_that_is_too_old_or_too_new_is_not_compared(loop, small_declaration):
    offline, online = sides()
    strict = declaration.parse(small_declaration + "monitor: {skew: {max_age: 6h}}")
    with pytest.raises(DataError, match="none of the 400 predictions has an offline row"):
        compare(strict, offline, online)
    with pytest.raises(DataError, match="none of the 400 predictions"):
        compare(loop, offline, online.assign(predicted_at=START - timedelta(days=1)))
    half = online.assign(customer=online["customer"].where(online["prediction_id"].astype(int) < 200, None))
    assert (compare(loop, offline, half).joined, compare(loop, offline, half).unmatched) == (200, 200)


def test_inputs_of_one_side_only_are_named(loop):
    offline, online = sides()
    assert compare(loop, offline.drop(columns="plan"), online).left == ("plan",)
    with pytest.raises(DataError, match="no input in common"):
        compare(loop, offline[["customer", "seen"]], online)
    with pytest.raises(DataError, match="no column asked"):
        compare(loop, offline, online, at="asked")


def test_without_times_the_last_row_of_the_entity_is_held_against(small_declaration):
    loop = declaration.parse(small_declaration.replace("  timestamp: seen\n", ""))
    offline, online = sides()
    offline = offline.sort_values("seen")
    assert not any(one.differ for one in compare(loop, offline[offline["seen"] < "2026-03-03"], online).features)
    assert by_name(compare(loop, offline, online))["spend"].share == 1


def test_numbers_that_name_entities_are_text_as_well(loop):
    offline, online = sides()
    offline["customer"] = offline["customer"].str[1:].astype(float)
    online["customer"] = online["customer"].str[1:]
    assert compare(loop, offline, online).joined == 400
