import json

from loopwright.rollout import envoy
from loopwright.rollout.envoy import Upstream
from loopwright.rollout.envoy_admin import Loaded, Route, loaded_clusters, loaded_route


def dump(weights, missing="nothing"):
    return json.dumps({"configs": [{"route_config": envoy.routes(weights, missing)["resources"][0]}]})


def cluster(name, port, active=0, pending=0):
    """As Envoy 1.40 lists one, without what is not read; a gauge of zero has no value."""
    stats = [{"name": "rq_total", "value": "9"}, {"type": "GAUGE", "name": "rq_active"}]
    if active:
        stats[1]["value"] = str(active)
    stats.append({"type": "GAUGE", "name": "rq_pending_active", "value": str(pending)})
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": name, "host_statuses": [{"address": address, "stats": stats}]}


def listing(*clusters):
    return json.dumps({"cluster_statuses": list(clusters)})


def test_the_weights_are_read_from_the_route_that_was_loaded():
    assert loaded_route(dump({1: 95, 2: 5})).weights == {1: 95, 2: 5}


def test_a_weight_that_envoy_leaves_out_is_zero():
    text = dump({1: 100, 2: 0}).replace(', "weight": 0', "")
    assert '"weight": 0' not in text
    assert loaded_route(text).weights == {1: 100, 2: 0}


def test_there_are_no_weights_where_envoy_answers_itself_or_has_no_route():
    assert loaded_route(dump({})).weights == {}
    assert loaded_route("{}") == Route()


def test_a_version_is_loaded_with_both_clusters_and_its_requests_in_flight_are_added_up():
    text = listing(cluster("version-1", 1001, active=2, pending=3), cluster("version-1-grpc", 2001, active=4))
    assert loaded_clusters(text) == {1: Loaded(Upstream(1, 1001, 2001), 9)}


def test_a_version_with_one_cluster_is_not_loaded_and_other_clusters_are_passed_over():
    assert loaded_clusters(listing(cluster("version-1", 1001), cluster("other", 5))) == {}
    assert loaded_clusters("{}") == {}
