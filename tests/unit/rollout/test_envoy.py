import json

import pytest

from loopwright.rollout import envoy
from loopwright.rollout.envoy import Upstream

EVERYWHERE = "0.0.0.0"  # noqa: S104


def http_manager(bootstrap):
    return bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def made(tmp_path, **given):
    return envoy.bootstrap(tmp_path, host="127.0.0.1", port=8080, admin_port=9901, **given)


def test_a_version_is_one_cluster_for_http_and_one_for_http2(tmp_path):
    first, second = envoy.clusters([Upstream(3, 1003, 2003)])["resources"]
    assert (first["name"], second["name"]) == ("version-3", "version-3-grpc")
    ports = [
        one["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["port_value"]
        for one in (first, second)
    ]
    assert ports == [1003, 2003]
    protocols = [
        next(iter(one["typed_extension_protocol_options"].values()))["explicit_http_config"] for one in (first, second)
    ]
    assert protocols == [{"http_protocol_options": {}}, {"http2_protocol_options": {}}]


def test_both_routes_have_the_same_weights_and_keep_a_version_with_none():
    rules = envoy.routes({2: 0, 1: 100})["resources"][0]["virtual_hosts"][0]["routes"]
    assert [rule["match"]["prefix"] for rule in rules] == ["/inference.GRPCInferenceService/", "/"]
    splits = [rule["route"]["weighted_clusters"]["clusters"] for rule in rules]
    shares = [[(one["name"], one["weight"]) for one in split] for split in splits]
    assert shares == [
        [("version-1-grpc", 100), ("version-2-grpc", 0)],
        [("version-1", 100), ("version-2", 0)],
    ]


def test_only_failures_that_no_predictor_has_seen_are_retried():
    rules = envoy.routes({1: 100})["resources"][0]["virtual_hosts"][0]["routes"]
    assert {rule["route"]["retry_policy"]["retry_on"] for rule in rules} == {
        "connect-failure,refused-stream,reset-before-request"
    }


@pytest.mark.parametrize("weights", [{}, {1: 0}])
def test_without_weights_the_answer_is_503_with_what_is_missing(weights):
    (rule,) = envoy.routes(weights, "version 1 is starting")["resources"][0]["virtual_hosts"][0]["routes"]
    assert rule["direct_response"] == {"status": 503, "body": {"inline_string": "version 1 is starting"}}


def test_another_route_has_another_version_and_the_same_route_the_same():
    versions = [envoy.routes(weights)["version_info"] for weights in ({1: 100}, {1: 99, 2: 1}, {1: 100})]
    assert versions[0] == versions[2] != versions[1]


def test_the_request_time_has_a_bucket_that_ends_at_the_latency_limit(tmp_path):
    (setting,) = made(tmp_path, slow_ms=42.5)["stats_config"]["histogram_bucket_settings"]
    assert setting["match"] == {"suffix": "upstream_rq_time"}
    assert 42.5 in setting["buckets"]
    assert setting["buckets"] == sorted(set(setting["buckets"]))


def test_a_limit_that_is_a_bucket_already_is_there_once():
    assert envoy.buckets(50.0).count(50.0) == 1
    assert envoy.buckets(None) == list(envoy.BUCKETS_MS)


def test_the_files_that_are_watched_are_the_files_that_are_written(tmp_path):
    bootstrap = made(tmp_path)
    cds = bootstrap["dynamic_resources"]["cds_config"]["path_config_source"]
    rds = http_manager(bootstrap)["rds"]["config_source"]["path_config_source"]
    assert cds == {"path": f"{tmp_path}/clusters/cds.json", "watched_directory": {"path": f"{tmp_path}/clusters"}}
    assert rds == {"path": f"{tmp_path}/routes/rds.json", "watched_directory": {"path": f"{tmp_path}/routes"}}
    assert envoy.ROUTES_FILE.parent != envoy.CLUSTERS_FILE.parent


def test_admin_stays_on_the_loopback_interface_wherever_the_gateway_listens(tmp_path):
    bootstrap = envoy.bootstrap(tmp_path, host=EVERYWHERE, port=8080, admin_port=9901)
    assert bootstrap["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9901}
    listener = bootstrap["static_resources"]["listeners"][0]
    assert listener["address"]["socket_address"] == {"address": EVERYWHERE, "port_value": 8080}
    assert listener["enable_reuse_port"] is False


def test_everything_is_json(tmp_path):
    for content in (made(tmp_path), envoy.clusters([Upstream(1, 2, 3)]), envoy.routes({1: 100})):
        assert json.loads(json.dumps(content)) == content
