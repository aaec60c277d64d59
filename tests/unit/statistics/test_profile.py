"""The profile counts exactly, survives its JSON and bins ties, gaps and odd columns sensibly."""

import json
import math
import time

import numpy as np
import pytest

from loopwright.statistics.profile import CategoryBins, NumberBins, Profile

RNG = np.random.default_rng(11)


def strings(*values):
    return np.array(values, dtype=object)


def one(values, kind="number", bins=10):
    """The bins of one column."""
    values = np.asarray(values, dtype=np.float64 if kind == "number" else object)
    profile = Profile.build(
        "churn", "classification", ["No", "Yes"], {"x": values}, {"x": kind}, np.array([0.2, 0.7]), bins=bins
    )
    return profile.features["x"]


def naive(bins, value):
    """The documented bin of a number, one comparison at a time."""
    edges = bins.edges.tolist()
    if math.isnan(value):
        return 0
    if value < edges[0]:
        return 1
    if value > edges[-1]:
        return len(edges) + 1
    for i in range(len(edges) - 2, -1, -1):
        if value >= edges[i]:
            return 2 + i
    raise AssertionError(value)


def test_a_continuous_column_has_equally_full_quantile_bins():
    bins = one(RNG.normal(size=10_000))
    assert len(bins.edges) == 11
    assert bins.counts.tolist() == [0, 0] + [1000] * 10 + [0]


def test_every_number_is_counted_in_the_documented_bin():
    bins = one(RNG.integers(0, 60, 3000) / 4, bins=7)
    special = [-math.inf, math.inf, math.nan, -1e308, 1e308]
    live = np.concatenate([bins.edges, np.nextafter(bins.edges, -9), RNG.normal(7, 9, 500), special])
    expected = np.bincount([naive(bins, value) for value in live.tolist()], minlength=len(bins.edges) + 2)
    assert bins.count(live).tolist() == expected.tolist()


def test_each_of_few_distinct_numbers_has_its_own_bin():
    bins = one([0, 1, 1, 0, 0, 2, math.nan])
    assert bins.counts.tolist() == [1, 0, 3, 2, 1, 0]
    assert bins.count(np.array([1.0, 1.0, 2.0, 3.0, -1.0])).tolist() == [0, 1, 0, 2, 1, 1]


def test_a_very_frequent_number_does_not_share_its_bin():
    values = np.concatenate([np.zeros(4000), RNG.uniform(-3, -1, 3000), RNG.uniform(1, 3, 3000)])
    bins = one(values)
    assert bins.counts.max() == 4000
    assert bins.count(np.zeros(5)).tolist() == ((bins.counts == 4000) * 5).tolist()


def test_a_constant_column_still_tells_below_and_above():
    bins = one([5.0] * 20)
    assert bins.counts.tolist() == [0, 0, 20, 0]
    assert bins.count(np.array([5.0, 4.0, 6.0, 6.0])).tolist() == [0, 1, 1, 2]


def test_a_column_that_is_missing_throughout_is_counted_as_such():
    assert one([math.nan] * 3).counts.tolist() == [3, 0, 0, 0]
    assert one([None] * 3, "category").counts.tolist() == [3, 0]


def test_neighbouring_floats_are_told_apart():
    low = 1.0
    high = np.nextafter(low, 2)
    assert one([low, low, high]).counts.tolist() == [0, 0, 2, 1, 0]


def test_infinite_reference_values_lie_outside_the_edges():
    assert one([1, 2, math.inf, -math.inf, -math.inf]).counts.tolist() == [0, 2, 1, 1, 1]


def test_the_top_categories_are_kept_and_rare_ones_are_told_from_new_ones():
    bins = one(["b"] * 5 + ["a"] * 5 + ["c"] * 2 + ["d", "e", "e", None, "", math.nan], "category", bins=2)
    assert bins.values == ("a", "b")
    # "d" would be new if its only row were not there: that is how often a value is new.
    assert bins.counts.tolist() == [3, 1, 5, 5, 4]
    assert bins.count(strings("a", "zebra", None, "d", "e", "")).tolist() == [2, 1, 1, 0, 2]


def test_a_category_with_few_values_has_no_bin_for_rare_ones():
    bins = one(["b"] * 5 + ["a"], "category", bins=3)
    assert bins.counts.tolist() == [0, 0, 1, 5]
    assert bins.known is None


def test_rare_values_do_not_stand_in_the_profile():
    text = json.dumps(one(["a"] * 50 + ["Erika Mustermann"] * 2, "category", bins=1).to_dict())
    assert "Erika" not in text


def test_text_that_hardly_repeats_is_watched_by_its_length():
    values = [f"{'x' * int(length)} {i}" for i, length in enumerate(RNG.integers(5, 40, 900))] + [None] * 100
    bins = one(values, "category")
    assert bins.kind == "text"
    assert bins.counts[0] == 100
    assert bins.counts[2:-1].sum() == 900
    assert bins.count(strings("x" * 500, "", None, "x", "x" * 20)).tolist()[:2] == [2, 1]
    assert bins.count(strings("x" * 500))[-1] == 1


def test_identifiers_that_repeat_are_categories():
    assert one([f"id{i}" for i in range(300)] * 3, "category").kind == "category"


@pytest.mark.parametrize("truth", [True, False])
def test_a_boolean_has_a_bin_for_each_value(truth):
    bins = one([float(truth)] * 9 + [float(not truth)], "number")
    assert sorted(bins.counts.tolist()) == [0, 0, 0, 1, 9]
    assert one([float(truth)] * 9).count(np.array([float(not truth)])).tolist() in ([0, 1, 0, 0], [0, 0, 0, 1])


def test_the_predicted_class_is_counted_beside_the_score():
    _, profile = example()
    assert profile.predicted_class.values == ("No", "Yes")
    assert profile.predicted_class.counts.sum() == 300
    decided = profile.decide(np.array([0.2, 0.5, 0.9, math.nan]))
    assert decided.tolist() == [0, 1, 1, -1]
    assert profile.count_classes(decided).tolist() == [1, 0, 1, 2]


def test_of_more_classes_each_is_counted_as_decided():
    decided = RNG.integers(0, 3, 60)
    profile = Profile.build("zoo", "classification", "abc", {}, {}, RNG.random(60), decided=decided)
    assert profile.predicted_class.counts[2:].tolist() == np.bincount(decided, minlength=3).tolist()
    assert Profile.from_json(profile.to_json()).predicted_class.values == ("a", "b", "c")
    assert profile.decide(np.array([0.7])).tolist() == [-1]


def test_a_regression_has_no_class():
    assert Profile.build("demand", "regression", [], {}, {}, RNG.random(60)).predicted_class is None


def test_a_category_that_is_no_string_is_looked_up_as_its_text():
    assert one([1, 2, 2], "category").count(strings("1", 2, True, np.str_("2"))).tolist() == [0, 1, 1, 2]


def example():
    columns = {
        "age": RNG.normal(40, 9, 700),
        "plan": np.where(RNG.random(700) < 0.4, "basic", "premium").astype(object),
        "unused": RNG.normal(size=700),
    }
    return columns, Profile.build(
        "churn",
        "classification",
        ["No", "Yes"],
        columns,
        {"plan": "category", "age": "number"},
        RNG.beta(2, 5, 300),
        bins=8,
    )


def test_the_json_round_trip_keeps_everything_and_is_stable():
    columns, profile = example()
    text = profile.to_json()
    again = Profile.from_json(text)
    assert again.to_json() == text
    assert list(json.loads(text)) == [
        "format", "loop", "task", "classes", "rows", "label_variance", "features", "prediction",
        "predicted_class",
    ]  # fmt: skip
    assert (again.loop, again.task, again.classes, again.rows) == ("churn", "classification", ("No", "Yes"), 700)
    assert list(again.features) == ["plan", "age"]
    for name, counts in again.count(columns).items():
        assert counts.tolist() == profile.features[name].counts.tolist()
    assert again.prediction.counts.sum() == 300


def test_counting_the_reference_gives_the_reference():
    columns, profile = example()
    for name, counts in profile.count(columns).items():
        assert counts.dtype == np.int64
        assert counts.tolist() == profile.features[name].counts.tolist()
    assert profile.count_predictions(np.array([0.1, math.nan])).sum() == 2


def test_no_rows_are_counted_as_zeros():
    _, profile = example()
    counts = profile.count({"age": np.zeros(0), "plan": strings()})
    assert [c.sum() for c in counts.values()] == [0, 0]


@pytest.mark.parametrize(
    ("columns", "predictions", "message"),
    [
        ({}, [0.1], "no column x"),
        ({"x": np.zeros(0)}, [0.1], "at least one"),
        ({"x": np.zeros(3)}, [], "at least one"),
        ({"x": np.zeros(3), "y": np.zeros(2)}, [0.1], "y has 2"),
    ],
)
def test_a_reference_that_cannot_be_binned_is_refused(columns, predictions, message):
    kinds = dict.fromkeys(columns or ["x"], "number")
    with pytest.raises(ValueError, match=message):
        Profile.build("churn", "classification", [], columns, kinds, np.array(predictions))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=2), "format 1: found 2"),
        (lambda c: c.pop("rows"), "without 'rows'"),
        (lambda c: c["features"]["age"]["counts"].pop(), "age: 9 edges need 11 counts; found 10"),
        (lambda c: c["features"]["age"]["edges"].reverse(), "age: the edges are not"),
        (lambda c: c["features"]["plan"]["values"].append("basic"), "plan: 3 values need 5 counts; found 4"),
        (lambda c: c["features"]["plan"].update(kind="image"), "plan: the kind is 'image'"),
        (lambda c: c["features"]["plan"]["counts"].__setitem__(0, -1), "plan: the counts"),
        (lambda c: c["features"]["plan"]["counts"].__setitem__(0, "1"), "plan: the counts"),
        (lambda c: c.update(prediction=c["features"]["plan"]), "prediction: its kind is category"),
        (lambda c: c.update(features=[1]), "not a profile"),
        (lambda c: c.update(rows=None), "not a profile"),
        (lambda c: c.update(label_variance=-1), "label_variance is -1"),
        (lambda c: c.update(label_variance=math.nan), "label_variance is nan"),
    ],
)
def test_a_damaged_profile_says_what_is_wrong(change, message):
    content = json.loads(example()[1].to_json())
    change(content)
    with pytest.raises(ValueError, match=message):
        Profile.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "null"])
def test_what_is_no_profile_at_all_is_refused(text):
    with pytest.raises(ValueError, match=r"profile|Expecting"):
        Profile.from_json(text)


def test_counting_twenty_features_and_500_rows_takes_a_few_milliseconds():
    n, m = 500, 5000
    columns = {f"n{i}": RNG.normal(size=m) for i in range(12)}
    columns |= {f"c{i}": RNG.choice(list("abcdefgh"), m).astype(object) for i in range(8)}
    kinds = {name: "number" if name[0] == "n" else "category" for name in columns}
    profile = Profile.build("churn", "classification", [], columns, kinds, RNG.random(m))
    live = {name: values[:n] for name, values in columns.items()}
    best = math.inf
    for _ in range(10):
        start = time.perf_counter()
        profile.count(live)
        best = min(best, time.perf_counter() - start)
    # A loop over values in Python takes about 10 ms here; binning in numpy well under 1 ms.
    assert best < 0.005
    assert {type(bins) for bins in profile.features.values()} == {NumberBins, CategoryBins}
