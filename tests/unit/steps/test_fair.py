import json

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics

from loopwright.errors import DataError
from loopwright.loop import Loop
from loopwright.loop.gates import Gates
from loopwright.steps.evidence import Judged
from loopwright.steps.fair import fair


@pytest.fixture(scope="module")
def case():
    random = np.random.default_rng(6)
    gender = random.choice(["f", "m", "x"], 1500, p=[0.5, 0.48, 0.02])
    truth = random.random(1500) < 0.4
    probability = np.clip(0.3 + 0.3 * truth + 0.15 * (gender == "m") + random.normal(0, 0.2, 1500), 0, 1)
    return pd.DataFrame({"gender": gender, "plan": "basic"}), Judged(truth, probability, None)


def asked(loop: Loop, case, **fairness):
    gates = Gates.model_validate({"fairness": fairness})
    return fair(loop.model_copy(update={"gates": gates}), *case)


def test_the_measures_are_fairlearns_and_small_groups_are_not_compared(small, case):
    frame, judged = case
    gates, (found,) = asked(small, case, gender={})
    assert gates == []
    some = (frame["gender"] != "x").to_numpy()
    given = {
        "y_true": judged.truth[some],
        "y_pred": judged.challenger[some] >= 0.5,
        "sensitive_features": frame["gender"][some],
    }
    assert found["measures"] == {
        "demographic_parity_difference": pytest.approx(metrics.demographic_parity_difference(**given)),
        "equalized_odds_difference": pytest.approx(metrics.equalized_odds_difference(**given)),
        "disparate_impact": pytest.approx(metrics.demographic_parity_ratio(**given)),
    }
    assert list(found["too_small"]) == ["x"]
    # The draws are of the same measures: without this, intervals would be of something else.
    for name, (low, high) in found["intervals"].items():
        assert low < found["measures"][name] < high
    frames = metrics.MetricFrame(metrics=metrics.selection_rate, **given).by_group
    for group in found["groups"]:
        assert group["selection_rate"] == pytest.approx(frames[group["group"]])
        low, high = group["intervals"]["selection_rate"]
        assert low < group["selection_rate"] < high


def test_the_draws_are_of_the_same_measures(case):
    from loopwright.statistics.fairness import MEASURES, _measures, _rates, fairness

    frame, judged = case
    groups = {name: (frame["gender"] == name).to_numpy() for name in ("f", "m")}
    decided = judged.challenger >= 0.5
    found = fairness(judged.truth, decided, groups, None, 1, 20)
    point = _measures(_rates(np.ones((1, len(frame))), judged.truth, decided, groups))
    assert {name: point[name][0] for name in MEASURES} == pytest.approx(found.values)


def test_a_gate_holds_the_value_or_its_bound(small, case):
    rule = {"equalized_odds_difference": {"value": 0.05}, "disparate_impact": 0.95}
    gates, _ = asked(small, case, gender={"demographic_parity_difference": 0.5, **rule})
    assert [(gate.metric, gate.passed) for gate in gates] == [
        ("demographic_parity_difference of gender", True),
        ("equalized_odds_difference of gender", False),
        ("disparate_impact of gender", False),
    ]
    assert "with 95% confidence at most 0." in gates[1].detail
    assert gates[1].state == "failed"
    (sure,), _ = asked(small, case, gender={"disparate_impact": {"value": 0.1}})
    assert sure.passed
    assert "with 95% confidence at least 0." in sure.detail


@pytest.mark.parametrize(("attribute", "rule"), [("plan", {}), ("gender", {"min_rows": 740})])
def test_one_group_cannot_be_compared(small, case, attribute, rule):
    with pytest.raises(DataError, match=rf"gates.fairness: {attribute} has 1 group of \d+ rows or more.*at least two"):
        asked(small, case, **{attribute: rule})


def test_a_group_without_positives_is_left_out_of_their_rate_and_named(small):
    frame = pd.DataFrame({"gender": ["f"] * 200 + ["m"] * 200 + ["x"] * 200})
    truth = np.tile([True, False], 300) & (frame["gender"] != "x").to_numpy()
    decided = np.where(np.tile([True, True, True, False, False, True, False, False], 75), 0.9, 0.1)
    rule = {"equalized_odds_difference": 0.3, "min_rows": 50}
    (gate,), (found,) = asked(small, (frame, Judged(truth, decided, None)), gender=rule)
    assert gate.passed
    assert gate.detail.endswith("without positives, and so left out of it: x")
    (last,) = (group for group in found["groups"] if group["group"] == "x")
    assert "true_positive_rate" not in last
    assert set(last["intervals"]) == {"selection_rate", "false_positive_rate", "accuracy"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_groups_of_which_nobody_is_chosen_are_not_shown_to_be_alike_by_few_rows(small):
    for rows, passed in ((60, False), (400, True)):
        frame = pd.DataFrame({"gender": ["f", "m"] * rows})
        case = frame, Judged(np.arange(2 * rows) % 3 == 0, np.full(2 * rows, 0.1), None)
        rule = {"demographic_parity_difference": {"value": 0.02}, "min_rows": 50}
        (gate,), (found,) = asked(small, case, gender=rule)
        assert (gate.passed, gate.state) == (passed, "passed" if passed else "cannot_tell")
        assert found["intervals"]["demographic_parity_difference"][1] > 0
        assert "disparate_impact" not in found["intervals"]
