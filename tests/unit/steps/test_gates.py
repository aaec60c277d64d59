import numpy as np
import pytest

from loopwright import loop as loops
from loopwright.loop import Loop
from loopwright.steps import gates, sanity


def judged(challenger_noise: float, champion_noise: float | None, rows: int = 2000) -> gates.Judged:
    random = np.random.default_rng(1)
    risk = random.normal(0, 1.5, rows)
    truth = random.random(rows) < 1 / (1 + np.exp(-risk))

    def probability(noise: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(risk + random.normal(0, noise, rows))))

    champion = None if champion_noise is None else probability(champion_noise)
    return gates.Judged(truth, probability(challenger_noise), champion)


def apply(loop: Loop, case: gates.Judged) -> dict[str, gates.Gate]:
    return {gate.gate: gate for gate in gates.apply(loop, case)}


def with_gates(loop: Loop, **changes: object) -> Loop:
    return loop.model_copy(update={"gates": loops.Gates.model_validate(changes)})


def test_the_first_version_needs_no_champion(small: Loop) -> None:
    found = apply(small, judged(0.5, None))
    assert all(gate.passed for gate in found.values())
    assert found["champion"].detail == "no champion yet"


def test_an_equally_good_challenger_is_no_worse_within_the_margin_and_a_worse_one_is_not(small: Loop) -> None:
    assert apply(small, judged(0.5, 0.5))["champion"].passed
    worse = apply(small, judged(4.0, 0.5))["champion"]
    assert not worse.passed
    assert "with 90% confidence by at least -0." in worse.detail
    assert "at least -0.05 needed" in worse.detail


def test_evidence_is_needed_not_a_point_estimate(small: Loop) -> None:
    """On 60 rows an equally good challenger cannot be shown to be within 0.01."""
    loop = with_gates(small, champion={"roc_auc": {"no_worse_by": 0.01, "confidence": 0.95}})
    assert not apply(loop, judged(0.5, 0.5, rows=60))["champion"].passed


def test_a_loss_that_rises_is_a_drop(small: Loop) -> None:
    loop = with_gates(small, champion={"brier": {"max_drop": 0.05}})
    assert not apply(loop, judged(4.0, 0.5))["champion"].passed
    assert apply(loop, judged(0.5, 4.0))["champion"].passed


@pytest.mark.long
def test_other_metrics_are_compared_by_a_paired_bootstrap(small: Loop) -> None:
    loop = with_gates(small, champion={"f1": {"no_worse_by": 0.05}})
    assert apply(loop, judged(0.5, 4.0))["champion"].passed
    assert not apply(loop, judged(4.0, 0.5))["champion"].passed


def test_a_champion_that_cannot_be_asked_fails_the_gates_against_it_only(small: Loop) -> None:
    case = judged(0.5, None)
    found = apply(small, gates.Judged(case.truth, case.challenger, None, "version 1 cannot be asked"))
    assert (found["champion"].passed, found["champion"].detail) == (False, "version 1 cannot be asked")
    assert found["minimum"].passed


def test_too_few_rows_to_compare_on_fail_the_gate_with_numbers_that_are_json(small: Loop) -> None:
    truth = np.array([True] + [False] * 30)
    one_positive = gates.Judged(truth, np.linspace(1, 0, 31), np.linspace(0, 1, 31))
    gate = apply(small, one_positive)["champion"]
    assert not gate.passed
    assert "too few rows" in gate.detail
    assert np.isfinite([gate.value, gate.limit]).all()


def test_minimum_and_maximum_hold_the_value_itself(small: Loop) -> None:
    loop = with_gates(small, minimum={"roc_auc": 0.99}, maximum={"brier": 0.01})
    found = apply(loop, judged(0.5, None))
    assert not found["minimum"].passed
    assert not found["maximum"].passed
    assert "at least 0.99 needed" in found["minimum"].detail


@pytest.mark.parametrize(
    ("predictions", "detail"),
    [(np.full(10, 0.5), "all the same"), (np.r_[np.nan, np.arange(9.0)], "10.0% are not finite")],
)
def test_a_model_that_says_nothing_is_not_sane(predictions: np.ndarray, detail: str) -> None:
    found = sanity.sane(predictions)
    assert (found.gate, found.passed, found.detail) == ("sanity", False, detail)


def test_a_gate_that_cannot_tell_says_how_many_rows_could(small: Loop) -> None:
    loop = with_gates(small, champion={"roc_auc": {"no_worse_by": 0.01}})
    gate = apply(loop, judged(0.5, 0.5, rows=200))["champion"]
    assert (gate.state, gate.passed) == ("cannot_tell", False)
    assert "200 rows cannot tell: about" in gate.detail
    assert gate.rows_needed is not None
    assert gate.rows_needed > 200
    assert gate.interval is not None
    assert gate.interval[0] < -0.01 < gate.interval[1]
    assert "rows cannot tell" not in apply(loop, judged(4.0, 0.5))["champion"].detail


def test_a_gain_is_shown_and_equal_predictions_are_none(small: Loop) -> None:
    better = with_gates(small, champion={"roc_auc": {"min_gain": 0.02}, "false_positive_rate": {"no_worse_by": 0}})
    found = gates.apply(better, judged(0.5, 4.0))
    assert [gate.passed for gate in found] == [True, True]
    assert "more than +2.0% needed" in found[0].detail
    case = judged(0.5, None)
    same = gates.Judged(case.truth, case.challenger, case.challenger)
    assert [gate.passed for gate in gates.apply(better, same)] == [False, True]


def test_a_relative_loss_is_a_share_of_the_champions_value(small: Loop) -> None:
    """A drop of at most 5 % of F1, on evidence and, with a confidence of one half, by the values alone."""
    case = judged(0.9, 0.5)
    for confidence, passed in ((0.95, False), (0.5, True)):
        loop = with_gates(small, champion={"f1": {"max_drop": 0.05, "confidence": confidence}})
        gate = apply(loop, case)["champion"]
        assert gate.passed is passed, gate.detail
        assert "at least -5.0% needed" in gate.detail


def test_rows_of_one_customer_are_not_counted_as_many(small: Loop) -> None:
    case = judged(0.5, 0.55, rows=300)
    loop = with_gates(small, champion={"roc_auc": {"no_worse_by": 0.02}})
    several = [np.repeat(one, 20) for one in (case.truth, case.challenger, case.champion)]
    assert apply(loop, gates.Judged(*several))["champion"].passed
    groups = np.repeat(np.arange(300), 20)
    assert apply(loop, gates.Judged(*several, groups=groups))["champion"].state == "cannot_tell"


@pytest.mark.parametrize(("rows", "passed"), [(200, False), (4000, True)])
def test_a_minimum_may_have_to_be_shown(small: Loop, rows: int, passed: bool) -> None:
    loop = with_gates(small, minimum={"roc_auc": {"value": 0.78}}, maximum={"brier": {"value": 0.2}})
    found = apply(loop, judged(0.5, None, rows=rows))
    assert (found["minimum"].passed, found["maximum"].passed) == (passed, passed)
    assert "with 95% confidence at least 0." in found["minimum"].detail
    assert "with 95% confidence at most 0." in found["maximum"].detail
    assert (found["minimum"].state == "cannot_tell") is not passed


def few(positives: int, negatives: int) -> gates.Judged:
    """All of them on the right side of 0.5, with nothing that scatters."""
    truth = np.array([True] * positives + [False] * negatives)
    return gates.Judged(truth, np.where(truth, 0.9, 0.1) + np.linspace(0, 0.05, len(truth)), None)


def test_no_error_among_few_rows_does_not_show_that_there_is_none(small: Loop) -> None:
    ceiling = with_gates(small, maximum={"false_positive_rate": {"value": 0.01}}, champion={})
    gate = apply(ceiling, few(5, 20))["maximum"]
    assert (gate.passed, gate.state) == (False, "cannot_tell")
    # Clopper & Pearson: 1 - 0.05 ** (1 / 20).
    assert "0.0000, and with 95% confidence at most 0.1391" in gate.detail
    assert gate.rows_needed is not None
    assert 300 < gate.rows_needed < 400
    assert apply(ceiling, few(80, 320))["maximum"].passed
    for metric in ("recall", "f1"):
        floor = with_gates(small, minimum={metric: {"value": 0.9}}, champion={})
        assert "at least 0.5493" in apply(floor, few(5, 20))["minimum"].detail


def test_an_area_that_does_not_scatter_says_nothing_of_how_sure_it_is(small: Loop) -> None:
    for metric in ("roc_auc", "average_precision"):
        loop = with_gates(small, minimum={metric: {"value": 0.9}}, champion={})
        gate = apply(loop, few(5, 20))["minimum"]
        assert (gate.passed, gate.state) == (False, "cannot_tell"), metric
        assert "too few rows" in gate.detail


def test_customers_not_their_rows_are_counted_at_the_edge(small: Loop) -> None:
    loop = with_gates(small, maximum={"false_positive_rate": {"value": 0.01}}, champion={})
    case = few(80, 320)
    of_few = gates.Judged(case.truth, case.challenger, None, groups=np.arange(400) % 20)
    assert not apply(loop, of_few)["maximum"].passed


def test_different_models_without_a_mistake_on_few_rows_are_not_shown_to_be_alike(small: Loop) -> None:
    for metric in ("roc_auc", "recall"):
        loop = with_gates(small, champion={metric: {"no_worse_by": 0.01}})
        case = few(5, 20)
        other = gates.Judged(case.truth, case.challenger, case.challenger * 0.99)
        assert apply(loop, other)["champion"].state == "cannot_tell", metric
        assert apply(loop, gates.Judged(case.truth, case.challenger, case.challenger))["champion"].passed


def test_what_is_shown_of_few_rows_is_as_wide_as_it_has_to_be(small: Loop) -> None:
    from loopwright.steps.evidence import Comparison

    (found,) = Comparison(small, few(5, 20)).intervals()
    assert found["recall"] == [pytest.approx(0.025 ** (1 / 5)), 1.0]
    assert found["false_positive_rate"] == [0.0, pytest.approx(1 - 0.025 ** (1 / 20))]
    assert "roc_auc" not in found


def test_the_interval_of_a_calibration_error_holds_it(small: Loop) -> None:
    from loopwright.steps.evidence import Comparison

    # Percentiles would lie above the value here.
    random = np.random.default_rng(6)
    probability = random.random(300)
    truth = random.random(300) < probability
    comparison = Comparison(small, gates.Judged(truth, probability, None))
    low, high = comparison.intervals()[0]["calibration_error"]
    assert low < comparison.values[0]["calibration_error"] < high
