import json
import math
from dataclasses import replace

import numpy as np
import pytest

from loopwright.loop import Rollout
from loopwright.rollout.analysis import judge
from loopwright.rollout.counts import UNKNOWN, ZERO, Arm
from loopwright.rollout.evidence import Step, plan

ALL = {
    "error_rate": {"max": 0.01},
    "latency_p99": {"max": "50ms"},
    "prediction_shift": {"max": 0.5},
    "label_metric": {"max_increase": 0.01, "min_labels": 50},
}
BUCKETS = 20


def spec(*metrics, **changes):
    return Rollout.model_validate(
        {"min_requests": 100, "analysis": {name: ALL[name] for name in metrics or ALL}} | changes
    )


def arm(requests, *, errors=0, rejected=0, slow=0, at=0, labels=None, loss=0.1):
    """An arm whose predictions all lie in one bucket, and whose labelled losses spread around `loss`."""
    labels = requests if labels is None else labels
    predictions = tuple(float(requests) if bucket == at else 0.0 for bucket in range(BUCKETS))
    return Arm(
        requests, errors, rejected, requests, slow, predictions, labels, labels * loss, labels * (loss**2 + 0.01)
    )


def verdict(rollout, challenger, champion, *, weight=25, before=ZERO, done=(), baked=True):
    found = judge(rollout, [*done, Step(weight, champion, challenger)], before, baked=baked)
    json.dumps(found.evidence, allow_nan=False)
    return found


def test_an_equal_challenger_is_promoted_with_its_numbers():
    found = verdict(spec(), arm(500, errors=1), arm(1500, errors=3))
    assert found.kind == "promote"
    assert set(found.evidence) == set(ALL)
    assert found.evidence["error_rate"]["challenger"] == 0.002
    assert all(one["known"] and not one["worse"] for one in found.evidence.values())


@pytest.mark.parametrize(
    ("challenger", "metric"),
    [
        (arm(200, errors=30), "error_rate"),
        (arm(200, rejected=200), "error_rate"),
        (arm(400, slow=200), "latency_p99"),
        (arm(1500, at=19), "prediction_shift"),
        (arm(300, loss=0.3), "label_metric"),
    ],
)
def test_a_challenger_that_is_worse_in_one_metric_is_rolled_back_for_it(challenger, metric):
    found = verdict(spec(), challenger, arm(3000, errors=6, slow=3), baked=False)
    assert found.kind == "roll_back"
    assert found.reason.startswith(metric)
    assert [name for name, one in found.evidence.items() if one["worse"]] == [metric]


@pytest.mark.parametrize("bad", ["errors", "rejected", "slow"])
def test_what_hits_both_versions_alike_rolls_nothing_back(bad):
    found = verdict(spec(), arm(500, **{bad: 250}), arm(1500, **{bad: 750}))
    assert found.kind == "promote"


def test_a_challenger_worse_than_the_champion_but_within_the_limit_is_promoted():
    rollout = spec("error_rate", analysis={"error_rate": {"max": 0.2}})
    assert verdict(rollout, arm(5000, errors=500), arm(15000, errors=150)).kind == "promote"


def test_one_stall_of_the_challenger_is_not_called_slow_and_many_are():
    stall = 15  # requests in flight together; independent ones would be evidence enough
    assert verdict(spec("latency_p99"), arm(300, slow=stall), arm(900)).kind == "promote"
    assert verdict(spec("latency_p99"), arm(3000, slow=10 * stall), arm(9000)).kind == "roll_back"


def test_evidence_that_leans_to_worse_holds_a_step_back_until_it_is_late():
    rollout = spec("error_rate", min_requests=15)
    few, champion = arm(15, errors=3), arm(60)
    found = verdict(rollout, few, champion)
    assert found.kind == "wait"
    assert found.reason.startswith("waiting for error_rate to show more (3 of 15 requests failed")
    step = Step(25, champion, few)
    assert judge(rollout, [step], ZERO, baked=True, late=True).kind == "promote"
    # More requests show it one way or the other.
    assert verdict(rollout, arm(60, errors=12), arm(240)).kind == "roll_back"
    assert verdict(rollout, arm(600, errors=3), arm(2400)).kind == "promote"


def test_stalls_of_five_requests_are_no_more_evidence_than_their_number():
    # Each of n groups of five requests is slow with the greatest chance allowed: an e-value is 1 on average at most.
    n, rollout = 60, spec("latency_p99")
    chances = [math.comb(n, k) * 0.01**k * 0.99 ** (n - k) for k in range(20)]
    values = [
        verdict(rollout, arm(5 * n, slow=5 * k), ZERO, weight=100).evidence["latency_p99"]["e_value"] for k in range(20)
    ]
    assert sum(chance * value for chance, value in zip(chances, values, strict=True)) <= 1.001  # rounded values


@pytest.mark.parametrize("gone", [UNKNOWN, replace(ZERO, requests=math.nan)])
def test_counts_that_are_nan_cannot_tell_and_never_promote(gone):
    assert verdict(spec(), gone, arm(1500)).kind == "cannot_tell"
    assert verdict(spec(), arm(500), gone).kind == "cannot_tell"


@pytest.mark.parametrize("name", ["errors", "slow", "timed", "labels", "loss_sum", "loss_squares"])
def test_one_count_that_is_nan_cannot_tell(name):
    found = verdict(spec(), replace(arm(500), **{name: math.nan}), arm(1500))
    assert found.kind == "cannot_tell"
    assert "known" in found.reason or "read" in found.reason


@pytest.mark.parametrize("weight", [25, 100])
def test_no_traffic_cannot_tell(weight):
    assert verdict(spec(), arm(0), arm(0), weight=weight).kind == "cannot_tell"
    assert verdict(Rollout.model_validate({"analysis": {}}), arm(0), arm(9), weight=weight).kind == "cannot_tell"


def test_predictions_that_never_reach_the_monitor_cannot_tell():
    found = verdict(spec(), replace(arm(500), predictions=()), arm(1500))
    assert found.kind == "cannot_tell"
    assert "prediction_shift" in found.reason


def test_a_champion_without_traffic_cannot_be_compared_with():
    assert verdict(spec("error_rate"), arm(500), arm(0)).kind == "cannot_tell"


@pytest.mark.parametrize(
    ("challenger", "baked", "reason"),
    [
        (arm(99, labels=60), True, "99 of 100 requests"),
        (arm(500, labels=49), True, "49 of 50 labels"),
        (arm(500), False, "the bake time"),
    ],
)
def test_a_promotion_waits_for_requests_labels_and_time(challenger, baked, reason):
    found = verdict(spec(), challenger, arm(1500), baked=baked)
    assert (found.kind, found.reason) == ("wait", f"waiting for {reason}")


def test_labels_are_not_waited_for_where_the_loop_does_not():
    rollout = spec(analysis={"label_metric": {"max_increase": 0.01}})
    assert verdict(rollout, arm(500, labels=0), arm(1500, labels=0)).kind == "promote"


def test_labels_of_the_champion_that_are_missing_cannot_tell_where_labels_are_waited_for():
    assert verdict(spec("label_metric"), arm(500), arm(1500, labels=3)).kind == "cannot_tell"


def test_evidence_of_earlier_steps_counts():
    champion, half = arm(3000, errors=3), arm(150, errors=6)
    assert verdict(spec("error_rate"), half, champion, weight=5).kind == "promote"
    done = [Step(5, champion, half), Step(25, champion, arm(1000, errors=30))]
    assert judge(spec("error_rate"), done, ZERO, baked=True).kind == "roll_back"


def test_a_good_start_does_not_shield_a_challenger_that_turns_bad():
    done = [Step(5, arm(190_000), arm(10_000)), Step(25, arm(75_000), arm(25_000))]
    assert verdict(spec("error_rate"), arm(60, errors=20), arm(60), weight=50, done=done).kind == "roll_back"


def test_at_full_traffic_a_canary_is_judged_by_errors_and_latency_alone():
    done = [Step(50, arm(500), arm(500))]
    found = verdict(spec(), arm(500, at=19, loss=0.9, labels=0), arm(0), weight=100, done=done)
    assert found.kind == "promote"
    assert set(found.evidence) == {"error_rate", "latency_p99"}
    assert verdict(spec(), arm(500, errors=50), arm(0), weight=100, done=done).kind == "roll_back"
    assert verdict(spec(), arm(500, slow=300), arm(0), weight=100, done=done).kind == "roll_back"


def test_at_full_traffic_refused_requests_are_the_clients_own():
    done = [Step(50, arm(500), arm(500))]
    assert verdict(spec(), arm(500, rejected=400), arm(0), weight=100, done=done).kind == "promote"


def test_at_full_traffic_the_limit_is_no_tighter_than_what_the_champion_did():
    done = [Step(50, arm(1000, errors=100), arm(1000, errors=95))]
    found = verdict(spec("error_rate"), arm(1000, errors=100), arm(0), weight=100, done=done)
    assert found.kind == "promote"
    assert found.evidence["error_rate"]["allowed"] > 0.1
    assert verdict(spec("error_rate"), arm(1000, errors=300), arm(0), weight=100, done=done).kind == "roll_back"


def test_blue_green_has_one_step_and_is_compared_with_the_champion_before_it():
    rollout = spec(strategy="blue_green")
    assert plan(rollout) == (100,)
    before = arm(3000, errors=6)
    assert verdict(rollout, arm(500), arm(0), weight=100, before=before).kind == "promote"
    for challenger in (arm(200, errors=30), arm(400, slow=200), arm(1500, at=19), arm(300, loss=0.3)):
        assert verdict(rollout, challenger, arm(0), weight=100, before=before).kind == "roll_back"


def test_blue_green_without_any_earlier_prediction_cannot_tell():
    assert verdict(spec(strategy="blue_green"), arm(500), arm(0), weight=100, before=ZERO).kind == "cannot_tell"


def test_nothing_declared_is_judged_by_traffic_alone():
    assert verdict(Rollout.model_validate({"analysis": {}}), arm(100), arm(9)).kind == "promote"


class Traffic:
    """Draws what both versions do between two looks, requests routed at random; bad moments hit both."""

    def __init__(self, seed, *, errors=1.0, slow=0.0, loss=0.0):
        self.generator, self.errors, self.slow, self.loss = np.random.default_rng(seed), errors, slow, loss

    def step(self, weight, looks, each=60):
        arms = (ZERO, ZERO)
        for _ in range(looks):
            burst = self.generator.random() < 0.1
            here = self.generator.binomial(each, weight / 100)
            arms = (
                arms[0] + self.draw(each - here, burst, 1.0, 0, 0),
                arms[1] + self.draw(here, burst, self.errors, self.slow, self.loss),
            )
            yield Step(weight, *arms)

    def draw(self, n, burst, factor, slow, worse):
        loss = np.minimum(1, self.generator.beta(0.4, 2, n) + worse)
        bins = self.generator.multinomial(n, np.full(BUCKETS, 1 / BUCKETS))
        rate = min(1.0, factor * (0.2 if burst else 0.008))
        slow_rate = 0.05 if burst else 0.008 + slow
        return Arm(
            n,
            self.generator.binomial(n, rate),
            self.generator.binomial(n, 0.02),
            n,
            self.generator.binomial(n, slow_rate),
            tuple(bins),
            n,
            loss.sum(),
            (loss**2).sum(),
        )


def rolled_back(rollout, traffic, looks):
    """After how many of the challenger's requests a rollout with so many looks a step is rolled back, or nothing."""
    done, requests = [], 0.0
    for weight in plan(rollout):
        step = None
        for step in traffic.step(weight, looks):
            if judge(rollout, [*done, step], ZERO, baked=True).kind == "roll_back":
                return requests + step.challenger.requests
        done.append(step)
        requests += step.challenger.requests
    return None


def test_in_rollouts_of_an_equal_challenger_few_are_rolled_back_at_many_looks():
    # Steps below 100: at 100 the bursts of this traffic would be the challenger's alone.
    rollout = spec().model_copy(update={"steps": (5, 25, 50)})
    found = [rolled_back(rollout, Traffic(seed), 20) for seed in range(60)]
    assert sum(one is not None for one in found) <= 0.05 * len(found)


@pytest.mark.parametrize(
    ("fault", "within"),
    [({"errors": 30.0}, 100), ({"errors": 5.0}, 1200), ({"slow": 0.5}, 100), ({"loss": 0.15}, 300)],
)
def test_a_worse_challenger_is_caught_within_some_of_its_requests(fault, within):
    rollout = spec().model_copy(update={"steps": (5, 25, 50)})
    found = [rolled_back(rollout, Traffic(seed, **fault), 40) for seed in range(8)]
    assert np.median([one or 1e9 for one in found]) <= within
