import math

import pytest

from loopwright.rollout.counts import Arm
from loopwright.rollout.prometheus_counts import DURATION, REQUESTS, Increases


def fed(*series: tuple[dict[str, str], list[tuple[float, float]]], origin: float = 100.0, newest: float = 0.0) -> Arm:
    increases = Increases(origin)
    for labels, samples in series:
        increases.feed({"loop": "churn", "version": "2"} | labels, samples)
    return increases.arms([2], "churn", 0.05, newest)[2]


def requests(outcome: str = "ok", **labels: str) -> dict[str, str]:
    return {"__name__": REQUESTS, "outcome": outcome, "instance": "a"} | labels


def test_a_counter_older_than_the_origin_counts_from_the_origin() -> None:
    assert fed((requests(), [(80, 900), (95, 1000), (110, 1007)])).requests == 7


def test_a_process_that_came_later_counts_from_zero() -> None:
    assert fed((requests(), [(110, 5), (120, 9)])).requests == 9


def test_a_restart_loses_nothing_that_was_seen() -> None:
    assert fed((requests(), [(90, 100), (110, 130), (120, 4), (130, 6)])).requests == 36


def test_a_process_that_is_gone_stays_counted() -> None:
    gone = (requests(instance="b"), [(90.0, 0.0), (110.0, 50.0)])
    assert fed(gone, (requests(), [(110, 1), (500, 3)])).requests == 53


def test_two_that_scrape_one_process_count_it_once() -> None:
    one, other = requests(job="a"), requests(job="b")
    assert fed((one, [(90, 10), (110, 20)]), (other, [(95, 12), (112, 21)])).requests == 11


def test_a_sample_that_was_read_before_is_passed_over() -> None:
    increases = Increases(100.0)
    for _ in range(2):
        increases.feed(requests() | {"loop": "churn", "version": "2"}, [(110, 5), (120, 9)])
    assert increases.arms([2], "churn", 1.0, 0.0)[2].requests == 9


def test_outcomes_are_those_of_the_analysis() -> None:
    arm = fed(*((requests(name), [(110, count)]) for name, count in
                (("ok", 90), ("error", 3), ("refused", 2), ("invalid", 5))))  # fmt: skip
    assert (arm.requests, arm.errors, arm.rejected) == (100, 5, 5)


def test_slow_requests_are_those_above_the_first_bound_that_is_not_below_the_limit() -> None:
    bounds = {"0.025": 60.0, "0.05": 90.0, "+Inf": 100.0}
    buckets = [({"__name__": DURATION, "le": le, "instance": "a"}, [(110.0, count)]) for le, count in bounds.items()]
    arm = fed((requests(), [(110, 100)]), *buckets)
    assert (arm.timed, arm.slow) == (100, 10)


def test_without_the_histogram_latency_is_unknown() -> None:
    arm = fed((requests(), [(110, 100)]))
    assert math.isnan(arm.timed)
    assert math.isnan(arm.slow)


def test_nan_makes_the_version_unknown_until_there_is_a_number_again() -> None:
    increases = Increases(100.0)
    labels = requests() | {"loop": "churn", "version": "2"}
    increases.feed(labels, [(110, 5), (120, math.nan)])
    assert math.isnan(increases.arms([2], "churn", 1.0, 0.0)[2].requests)
    increases.feed(labels, [(130, 9)])
    assert increases.arms([2], "churn", 1.0, 0.0)[2].requests == 9


def test_what_is_stale_or_absent_is_unknown() -> None:
    assert math.isnan(fed((requests(), [(110, 5)]), newest=200).requests)
    assert math.isnan(fed().requests)


@pytest.mark.parametrize(("count", "known"), [(0, True), (3, False)])
def test_a_monitor_without_counters_has_counted_nothing_only_where_there_was_nothing(count: int, known: bool) -> None:
    assert math.isfinite(fed((requests(), [(110, count)])).labels) == known


def test_predictions_and_losses_are_read_with_the_traffic() -> None:
    monitor = {"instance": "m"}
    arm = fed(
        (requests(), [(110, 4)]),
        (monitor | {"__name__": "loopwright_events_total"}, [(110, 4)]),
        (monitor | {"__name__": "loopwright_prediction_bucket_total", "bucket": "0.05"}, [(110, 3)]),
        (monitor | {"__name__": "loopwright_prediction_bucket_total", "bucket": "0.1"}, [(110, 1)]),
        (monitor | {"__name__": "loopwright_label_loss_count"}, [(110, 2)]),
        (monitor | {"__name__": "loopwright_label_loss_sum"}, [(110, 0.5)]),
        (monitor | {"__name__": "loopwright_label_loss_squares"}, [(110, 0.25)]),
    )
    assert (arm.predictions, arm.labels, arm.loss_sum, arm.loss_squares) == ((3, 1), 2, 0.5, 0.25)
