import numpy as np
import pytest

from loopwright import loop as loops
from loopwright.loop import Loop
from loopwright.statistics import metrics
from loopwright.steps import gates


def judged(challenger_noise: float, champion_noise: float | None, rows: int = 2000) -> gates.Judged:
    random = np.random.default_rng(1)
    risk = random.normal(0, 1.5, rows)
    truth = random.random(rows) < 1 / (1 + np.exp(-risk))

    def probability(noise: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(risk + random.normal(0, noise, rows))))

    champion = None if champion_noise is None else probability(champion_noise)
    return gates.Judged(truth, probability(challenger_noise), champion)


def apply(loop: Loop, case: gates.Judged) -> dict[str, gates.Gate]:
    values = metrics.evaluate(loop.model.task, case.truth, case.challenger)
    return {gate.gate: gate for gate in gates.apply(loop, case, values)}


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
    case = gates.Judged(*vars(judged(0.5, None)).values())
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
    found = gates.sane(predictions)
    assert (found.gate, found.passed, found.detail) == ("sanity", False, detail)
