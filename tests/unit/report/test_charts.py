"""Pictures say what they show, escape what comes from data, and stay whole with odd data."""

import re
import xml.etree.ElementTree as ET

import pytest

from loopwright.report import charts, curves, series, svg
from loopwright.report.axis import Axis
from loopwright.report.charts import NARROW, WIDE
from loopwright.report.curves import Side
from loopwright.report.facts import timeline

SVG = "{http://www.w3.org/2000/svg}"


def parsed(picture):
    """The picture as a tree: it must be well-formed, and its coordinates numbers inside the picture."""
    root = ET.fromstring(picture.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))  # noqa: S314 - our own
    width, height = (float(value) for value in root.get("viewBox").split()[2:])
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(text.get("x")) <= width
        assert 0 <= float(text.get("y")) <= height
    for path in root.iter(f"{SVG}path"):
        points = re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.get("d"))
        assert points
        for x, y in points:
            assert -0.1 <= float(x) <= width + 0.1
            assert -0.1 <= float(y) <= height + 0.1
    return root


def texts(root):
    return [text.text for text in root.iter(f"{SVG}text")]


@pytest.fixture
def told(facts):
    return facts().timeline


@pytest.fixture
def axis(facts, told):
    return Axis(told.zero, *series.extent(facts().series), "A (drift begins)")


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_timeline_names_every_moment_with_its_time_and_its_duration(told, width):
    root = parsed(charts.timeline(told, width))
    assert {"drift alarm on version 1", "version 2 promoted", "version 3 rolled back"} <= set(texts(root))
    assert {"8.40 s", "+8.40 s", "102.6 s", "+56.6 s"} <= set(texts(root))
    kinds = [path.get("class") for path in root.iter(f"{SVG}path")]
    assert kinds.count("elbow guessed") == 1
    assert kinds.count("elbow") == 8


def test_moments_are_linked_to_the_nearest_moment_that_caused_them(told):
    causes = {moment.text: told.moments[moment.cause].text for moment in told.moments if moment.cause is not None}
    assert causes["version 2 promoted"] == "rollout of version 2 began"
    assert causes["version 2 registered"] == "run began"
    assert causes["version 3 rolled back"] == "rollout of version 3 began"
    assert causes["drift alarm on version 1"] == "drift begins"
    assert [moment.text for moment in told.moments if not moment.recorded] == [
        "drift begins",
        "drift alarm on version 1",
        "ada asked for a run",
    ]


def test_a_mark_that_is_an_entry_is_not_marked_twice(ledger):
    entries = ledger.entries("churn")
    alarm = next(entry for entry in entries if entry.kind == "alarm")
    found = timeline(entries, [("the alarm", alarm.at.timestamp())])
    assert [moment.text for moment in found.moments][:2] == ["drift alarm on version 1", "run began"]


def test_only_the_newest_moments_are_drawn_and_the_others_counted(ledger):
    entries = [entry for entry in ledger.entries("churn") for _ in range(20)]
    found = timeline(entries, [])
    assert len(found.moments) == 24
    assert found.left_out == 20 * 15 - 24


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_traffic_has_an_area_and_a_name_for_each_version(facts, told, axis, width):
    given = facts()
    root = parsed(charts.traffic(series.traffic(given.series), axis, told, given.colours, width))
    assert {"version 1", "version 2", "version 3"} <= set(texts(root))
    kinds = [path.get("class") for path in root.iter(f"{SVG}path")]
    assert {"area c0", "area c1", "area c2"} == set(kinds)
    assert "version 2 answered" in root.find(f"{SVG}desc").text


def test_failed_requests_are_seen(facts, told, axis):
    given = facts()
    samples = [{**one, "errors": {"1": index}} for index, one in enumerate(given.series)]
    root = parsed(charts.traffic(series.traffic(samples), axis, told, given.colours, WIDE))
    assert "failed" in [path.get("class") for path in root.iter(f"{SVG}path")]


@pytest.mark.parametrize("what", ["distance", "score"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_only_features_that_drifted_are_coloured_and_named(facts, told, axis, what, width):
    found = series.drift(facts().series, 0.1)
    root = parsed(charts.drift(found, axis, told, what, 0.1 if what == "distance" else 1.0, width))
    assert {"region", "monthly_charges", "seats", "plan"} <= set(texts(root))
    assert "autopay" not in texts(root)
    coloured = {p.find(f"{SVG}title").text for p in root.iter(f"{SVG}path") if re.match(r"line c\d", p.get("class"))}
    assert {"region", "monthly_charges", "seats", "plan"} <= coloured
    assert "autopay" not in coloured
    assert "autopay" in {p.find(f"{SVG}title").text for p in root.iter(f"{SVG}path") if p.get("class") == "line other"}


def test_drift_without_any_drifted_feature_says_so(facts, told, axis):
    calm = [one for one in facts().series if one["drift_version"] == "2"]
    root = parsed(charts.drift(series.drift(calm, 0.1), axis, told, "distance", 0.1, WIDE))
    assert root.find(f"{SVG}desc").text == "No feature drifted."


def test_names_from_the_data_are_escaped(told, axis):
    evil = '<script>alert("1")</script>'
    samples = [
        {"at": axis.begin + i, "drift": {evil: {"distance": 0.5, "score": 9.0}}, "drift_version": "1"} for i in range(3)
    ]
    picture = charts.drift(series.drift(samples, 0.1), axis, told, "distance", 0.1, WIDE)
    assert "<script" not in picture
    assert evil in [title.text for title in parsed(picture).iter(f"{SVG}title")]


def test_roc_and_calibration_show_both_models_and_the_counts(facts):
    evaluation = facts().evaluations[2]
    sides = [Side("version 2", 1, evaluation["curves"]), Side("version 1", 0, evaluation["champion_curves"])]
    roc = parsed(curves.roc(sides, [0.842, 0.786]))
    assert {"version 2  AUC 0.842", "version 1  AUC 0.786"} <= set(texts(roc))
    calibration = parsed(curves.calibration(sides))
    assert "bars 95 %, 157 to 158 rows each" in texts(calibration)
    points = [one for one in calibration.iter(f"{SVG}circle") if one.get("class").startswith("point")]
    assert len(points) == 20


def test_curves_that_are_missing_or_broken_leave_an_empty_picture():
    broken = {"roc": {"fpr": [0, None], "tpr": [float("nan"), 1]}, "calibration": None}
    assert "version 1" in texts(parsed(curves.roc([Side("version 1", 0, broken)], [None])))
    assert "no groups" in texts(parsed(curves.calibration([Side("version 1", 0, {})])))


def test_residuals_of_a_regression_are_drawn_around_zero():
    side = Side("version 1", 0, {"residuals": {"share": [0.01, 0.5, 0.99], "value": [-4.0, 0.5, 9.0]}})
    root = parsed(curves.residuals([side]))
    assert "Residuals, predicted minus true" in texts(root)
    assert [path.get("class") for path in root.iter(f"{SVG}path")] == ["line c0"]


def test_the_interval_of_a_share_is_wilsons():
    # Agresti and Coull, The American Statistician 52 (1998): 0 of 10 has the upper limit 0.278.
    low, high = curves.interval(0.0, 10)
    assert low == 0.0
    assert high == pytest.approx(0.2775, abs=1e-4)
    assert curves.interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert curves.interval(0.5, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0, 1, 4, [0, 0.5, 1]),
        (0, 0.43, 4, [0, 0.2, 0.4]),
        (-46, 185, 8, [0, 50, 100, 150]),
        (3, 3, 4, [3]),
        (0, 7300, 4, [0, 2000, 4000, 6000]),
    ],
)
def test_ticks_are_round_numbers_within_the_range(low, high, count, expected):
    assert svg.ticks(low, high, count) == expected


def test_labels_are_pushed_apart_and_stay_in_order_and_in_the_room():
    places = svg.spread([50, 51, 52, 200], 16, 0, 210)
    assert places == pytest.approx([35, 51, 67, 194 + 6])
    assert svg.spread([5, 5], 16, 0, 100) == [0, 16]
    crowded = svg.spread([10] * 20, 16, 0, 100)
    assert min(crowded) == 0
    assert max(crowded) == pytest.approx(100)
    assert svg.spread([], 16, 0, 100) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.119, "0.12 s"),
        (26.14, "26.1 s"),
        (102.6, "102.6 s"),
        (750, "12 min 30 s"),
        (7199.9, "2 h"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
        (-5, "\N{MINUS SIGN}5.00 s"),
    ],
)
def test_lengths_of_time_are_written_as_people_say_them(seconds, text):
    assert svg.elapsed(seconds) == text
