import socket
from dataclasses import replace

import pytest

from loopwright import settings
from loopwright.errors import ServingError
from loopwright.local.options import Options, choose_places

EVERYWHERE = "0.0.0.0"  # noqa: S104


@pytest.fixture
def read(tmp_path):
    return settings.read(tmp_path, {})


def test_ports_that_are_not_given_are_free_and_different(read):
    places = choose_places(Options(gateway_port=0, with_mlflow=True), read)
    assert set(places.ports) == {"gateway", "monitor", "trigger", "mlflow", "envoy_admin"}
    assert len(set(places.ports.values())) == 5
    assert places.urls["monitor"] == f"http://127.0.0.1:{places.ports['monitor']}"
    assert places.urls["grpc"] == f"127.0.0.1:{places.ports['gateway']}"


def test_a_given_port_in_use_is_refused_naming_it(read):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match=f"port {port} on 127.0.0.1 cannot be used for the trigger"):
            choose_places(Options(gateway_port=0, trigger_port=port), read)


def test_only_the_gateway_listens_for_other_machines(read):
    places = choose_places(Options(host=EVERYWHERE, gateway_port=0), read)
    assert places.host == EVERYWHERE
    assert all("127.0.0.1" in url for url in places.urls.values())


def test_without_mlflow_there_is_none_and_a_registry_that_is_a_server_is_not_served_again(read):
    assert "mlflow" not in choose_places(Options(gateway_port=0), read).urls
    remote = replace(read, registry_uri="https://mlflow.example.com")
    places = choose_places(Options(gateway_port=0, with_mlflow=True), remote)
    assert "mlflow" not in places.ports
    assert places.urls["mlflow"] == "https://mlflow.example.com"


def test_the_password_of_a_registry_that_is_a_server_is_not_shown(read):
    remote = replace(read, registry_uri="https://me:s3cret@mlflow.example.com")
    places = choose_places(Options(gateway_port=0, with_mlflow=True), remote)
    assert places.urls["mlflow"] == "https://me:***@mlflow.example.com"
