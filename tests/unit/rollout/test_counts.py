import math
from dataclasses import replace

import pytest

from loopwright.rollout.counts import ANSWERS, TRAFFIC, UNKNOWN, ZERO, Arm, join, read_answers, read_traffic, rebase

ENVOY = """
# TYPE envoy_cluster_upstream_rq_completed counter
envoy_cluster_upstream_rq_completed{envoy_cluster_name="version-1"} 950
envoy_cluster_upstream_rq_completed{envoy_cluster_name="version-1-grpc"} 50
envoy_cluster_upstream_rq_completed{envoy_cluster_name="version-2"} 53
envoy_cluster_upstream_rq_completed{envoy_cluster_name="admin"} 7
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="version-1"} 943
envoy_cluster_upstream_rq_xx{envoy_response_code_class="4",envoy_cluster_name="version-1"} 4
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="version-1"} 3
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="version-1-grpc"} 48
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="version-1-grpc"} 2
envoy_cluster_grpc_0{envoy_cluster_name="version-1-grpc"} 44
envoy_cluster_grpc_3{envoy_cluster_name="version-1-grpc"} 1
envoy_cluster_grpc_13{envoy_cluster_name="version-1-grpc"} 3
envoy_cluster_grpc_14{envoy_cluster_name="version-1-grpc"} 2
envoy_cluster_grpc_failure{envoy_cluster_name="version-1-grpc"} 6
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="version-1",le="10"} 900
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="version-1",le="50"} 930
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="version-1",le="100"} 940
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="version-1",le="+Inf"} 945
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="version-1-grpc",le="50"} 49
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="version-1-grpc",le="+Inf"} 50
envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="version-1"} 1234.5
"""
MONITOR = """
# HELP loopwright_events_total Prediction events counted.
loopwright_events_total{loop="churn",version="1"} 6
loopwright_events_total{loop="churn",version="2"} 0
loopwright_events_total{loop="other",version="9"} 4
loopwright_prediction_bucket_total{loop="churn",version="1",bucket="10"} 1
loopwright_prediction_bucket_total{loop="churn",version="1",bucket="9"} 2
loopwright_prediction_bucket_total{loop="churn",version="1",bucket="0"} 3
loopwright_label_loss_count{loop="churn",version="1"} 4
loopwright_label_loss_sum{loop="churn",version="1"} 0.5
loopwright_label_loss_squares{loop="churn",version="1"} 0.125
loopwright_drift_distance{loop="churn",version="1",feature="a\\"b"} NaN
"""


def test_http_and_grpc_of_a_version_are_added_up():
    arms = read_traffic(ENVOY, 50)
    assert set(arms) == {1, 2}
    assert arms[1].requests == 1000
    assert arms[1].errors == 3 + 5
    assert arms[1].rejected == 4 + 1
    assert (arms[1].timed, arms[1].slow) == (995, 15 + 1)


def test_what_a_cluster_has_not_counted_is_zero():
    assert read_traffic(ENVOY, 50)[2] == replace(ZERO, requests=53)


@pytest.mark.parametrize(("limit", "slow"), [(10, 45 + 1), (11, 15 + 1), (50.00000001, 15 + 1), (math.inf, 0)])
def test_slow_requests_are_counted_from_the_bound_at_or_above_the_limit(limit, slow):
    assert read_traffic(ENVOY, limit)[1].slow == slow


def test_predictions_and_losses_are_read_in_the_order_of_the_bins():
    arms = read_answers(MONITOR, "churn")
    assert arms[1].predictions == (3, 2, 1)
    assert (arms[1].labels, arms[1].loss_sum, arms[1].loss_squares) == (4, 0.5, 0.125)
    assert arms[2].predictions == (0, 0, 0)
    assert set(arms) == {1, 2}


def test_the_counts_of_replicas_add_up():
    assert read_answers(MONITOR + MONITOR, "churn")[1].predictions == (6, 4, 2)


def test_a_value_that_is_nan_stays_unknown():
    text = ENVOY.replace('{envoy_cluster_name="version-2"} 53', '{envoy_cluster_name="version-2"} NaN')
    arm = read_traffic(text, 50)[2]
    assert not arm.known(TRAFFIC)
    assert not (arm - ZERO).known(TRAFFIC)


@pytest.mark.parametrize("text", ["", "no metrics", "<html>502</html>", 'a{b="c"} x', "a{ 3"])
def test_text_that_is_no_exposition_has_no_versions(text):
    assert read_traffic(text, 50) == {}
    assert read_answers(text, "churn") == {}


def test_a_source_that_is_away_leaves_its_counts_unknown_and_the_others_known():
    arm = join([1], read_traffic(ENVOY, 50), None)[1]
    assert arm.known(TRAFFIC)
    assert not arm.known(ANSWERS)
    arm = join([1], None, read_answers(MONITOR, "churn"))[1]
    assert not arm.known(TRAFFIC)
    assert arm.known(ANSWERS)


def test_a_version_that_a_source_has_not_seen_has_done_nothing_there():
    assert join([3], read_traffic(ENVOY, 50), read_answers(MONITOR, "churn")) == {3: ZERO}


def test_differences_and_sums_are_taken_count_by_count():
    early = Arm(10, 1, 2, 9, 3, (4, 5), 6, 1.5, 0.5)
    late = Arm(30, 2, 2, 28, 4, (14, 6), 8, 2.5, 0.75)
    assert late - early == Arm(20, 1, 0, 19, 1, (10, 1), 2, 1.0, 0.25)
    assert (late - early) + early == late
    assert late - ZERO == late


def test_counts_survive_json():
    for arm in (UNKNOWN, ZERO, Arm(30, 2, 2, 28, 4, (14, 6), 8, 2.5, 0.75)):
        assert repr(Arm.from_json(arm.to_json())) == repr(arm)


def arm(requests, labels, predictions=(0.0, 0.0)):
    return Arm(requests, 0, 0, requests, 0, predictions, labels, 0, 0)


def test_a_base_stays_while_counts_rise():
    base = arm(10, 5)
    assert rebase(base, arm(20, 6), arm(30, 7)) is base


def test_a_source_that_began_again_from_zero_loses_nothing_that_was_seen():
    base, last, now = arm(10, 5), arm(100, 6), arm(3, 7)
    since = now - rebase(base, last, now)
    assert since.requests == 90 + 3
    assert since.labels == 2


def test_a_source_that_was_away_at_first_counts_from_when_it_is_known():
    base = join([1], {1: arm(10, 0)}, None)[1]
    now = arm(50, 7, (4.0, 3.0))
    since = now - rebase(base, base, now)
    assert since.requests == 40
    assert since.labels == 0
    assert since.known(ANSWERS)


def test_a_source_that_is_away_for_a_look_is_unknown_for_that_look_only():
    base, last = arm(10, 5), arm(20, 6)
    assert rebase(base, last, UNKNOWN) is base
    assert (arm(40, 8) - rebase(base, last, arm(40, 8))).requests == 30
