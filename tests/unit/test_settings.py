import time
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from loopwright.durations import Clock
from loopwright.errors import StateError
from loopwright.settings import Settings, prepare, read, redacted


def test_the_defaults_lie_beside_the_declaration(tmp_path):
    before = time.time()
    settings = read(tmp_path, {})
    state = tmp_path.resolve() / ".loopwright"
    assert settings.state == state
    assert settings.ledger_url == f"sqlite:///{state}/ledger.db"
    assert settings.registry_uri == f"sqlite:///{state}/mlflow.db"
    assert settings.token == ""
    assert settings.clock.speed == 1.0
    assert before <= settings.clock.origin <= time.time()
    assert (settings.snapshots, settings.runs) == (state / "snapshots", state / "runs")
    assert (settings.artifacts, settings.live) == (state / "artifacts", state / "live")


def test_every_setting_is_an_environment_variable(tmp_path):
    settings = read(
        tmp_path,
        {
            "LOOPWRIGHT_STATE": str(tmp_path / "elsewhere"),
            "LOOPWRIGHT_LEDGER_URL": "postgresql+psycopg://ledger",
            "LOOPWRIGHT_REGISTRY_URI": "http://mlflow:5000",
            "LOOPWRIGHT_TOKEN": "a secret",
            "LOOPWRIGHT_EVENTS_PASSWORD": " another ",
            "LOOPWRIGHT_SPEED": "86400",
            "LOOPWRIGHT_ORIGIN": "1735689600.5",
            "LOOPWRIGHT_GATEWAY": "kserve",
            "LOOPWRIGHT_NAMESPACE": "models",
            "LOOPWRIGHT_PROMETHEUS_URL": "http://prometheus:9090/",
            "LOOPWRIGHT_MODELS": "/models",
            "LOOPWRIGHT_WORKFLOWS": "true",
            "LOOPWRIGHT_PUSHGATEWAY_URL": "http://pushgateway:9091/",
            "LOOPWRIGHT_ENGINE": "argo",
            "LOOPWRIGHT_MACHINE": "models/loopwright",
            "LOOPWRIGHT_TRAINING_TEMPLATE": "prices-training",
        },
    )
    assert settings == Settings(
        state=(tmp_path / "elsewhere").resolve(),
        ledger_url="postgresql+psycopg://ledger",
        registry_uri="http://mlflow:5000",
        token="a secret",
        events_password="another",
        clock=Clock(86400.0, 1735689600.5),
        gateway="kserve",
        namespace="models",
        prometheus_url="http://prometheus:9090",
        models=Path("/models"),
        workflows=True,
        pushgateway_url="http://pushgateway:9091",
        engine="argo",
        machine="models/loopwright",
        training_template="prices-training",
    )


def test_a_childs_environment_gives_the_same_settings(tmp_path):
    settings = read(tmp_path, {"LOOPWRIGHT_SPEED": "86400.1", "LOOPWRIGHT_ORIGIN": "1e9", "LOOPWRIGHT_TOKEN": "t"})
    assert read(Path("/nowhere"), settings.environment()) == settings
    assert set(settings.environment()) == {
        f"LOOPWRIGHT_{name}"
        for name in (
            *("STATE", "LEDGER_URL", "REGISTRY_URI", "TOKEN", "EVENTS_PASSWORD", "SPEED", "ORIGIN"),
            *("GATEWAY", "NAMESPACE", "PROMETHEUS_URL", "MODELS", "WORKFLOWS", "PUSHGATEWAY_URL"),
            *("ENGINE", "MACHINE", "REVISION", "PATCHES", "ROLLOUT_TEMPLATE", "TRAINING_TEMPLATE"),
        )
    }


def test_a_gateway_that_there_is_not_is_refused(tmp_path):
    assert read(tmp_path, {}).gateway == "local"
    with pytest.raises(StateError, match="LOOPWRIGHT_GATEWAY is 'istio'; expected local or kserve"):
        read(tmp_path, {"LOOPWRIGHT_GATEWAY": "istio"})


def test_an_engine_that_there_is_not_is_refused(tmp_path):
    assert read(tmp_path, {}).engine == "local"
    with pytest.raises(StateError, match="LOOPWRIGHT_ENGINE is 'airflow'; expected local or argo"):
        read(tmp_path, {"LOOPWRIGHT_ENGINE": "airflow"})


def test_a_flag_is_true_or_false(tmp_path):
    assert not read(tmp_path, {}).workflows
    with pytest.raises(StateError, match="LOOPWRIGHT_WORKFLOWS is 'yes'; expected true or false"):
        read(tmp_path, {"LOOPWRIGHT_WORKFLOWS": "yes"})


def test_an_empty_variable_is_an_unset_one(tmp_path):
    empty = dict.fromkeys(read(tmp_path, {}).environment(), "")
    settings = read(tmp_path, empty)
    assert (settings.state, settings.clock.speed) == (read(tmp_path, {}).state, 1.0)


@pytest.mark.parametrize("name", ["SPEED", "ORIGIN"])
@pytest.mark.parametrize("text", ["fast", "0", "-1", "nan", "inf"])
def test_a_number_that_cannot_be_used_is_named(tmp_path, name, text):
    with pytest.raises(StateError) as refused:
        read(tmp_path, {f"LOOPWRIGHT_{name}": text})
    assert str(refused.value) == f"LOOPWRIGHT_{name} is {text!r}; expected a number above zero. Correct or unset it"


@pytest.mark.parametrize("text", ["a secret\n", " a secret \r\n", "a secret"])
def test_white_space_around_the_token_is_no_part_of_it(tmp_path, text):
    assert read(tmp_path, {"LOOPWRIGHT_TOKEN": text}).token == "a secret"


def test_a_token_of_white_space_is_none(tmp_path):
    assert read(tmp_path, {"LOOPWRIGHT_TOKEN": " \n"}).token == ""


def test_the_token_is_not_shown(tmp_path):
    assert "a secret" not in repr(read(tmp_path, {"LOOPWRIGHT_TOKEN": "a secret"}))


def test_settings_do_not_change(tmp_path):
    with pytest.raises(FrozenInstanceError):
        read(tmp_path, {}).token = "another"


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(Path("/nowhere"), {"LOOPWRIGHT_STATE": "~/state"}).state == (tmp_path / "state").resolve()


def test_preparing_makes_the_folders_and_leaves_nothing_else(tmp_path):
    settings = read(tmp_path, {})
    assert prepare(settings) is settings
    assert prepare(settings) is settings
    assert sorted(path.name for path in settings.state.iterdir()) == ["live", "runs", "snapshots"]


def test_a_state_folder_that_is_a_file_is_said_to_be_one(tmp_path):
    (tmp_path / ".loopwright").write_text("")
    with pytest.raises(StateError) as refused:
        prepare(read(tmp_path, {}))
    assert str(tmp_path / ".loopwright") in refused.value.found
    assert "LOOPWRIGHT_STATE" in refused.value.do


def test_a_full_disk_is_found_before_anything_is_lost(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StateError, match="cannot be written: No space left on device; expected a folder with free"):
        prepare(read(tmp_path, {}))


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql+psycopg://me:s3cret@db:5432/mlflow", "postgresql+psycopg://me:***@db:5432/mlflow"),
        ("https://me:s3/c?r#et@host/x", "https://me:***@host/x"),
        ("https://me:s3@cret@host/x", "https://me:***@host/x"),
        ("https://s3cret@host:8080/x", "https://***@host:8080/x"),
        ("postgresql://db/x?user=me&password=s3cret&a=1", "postgresql://db/x?user=me&password=***&a=1"),
        ("postgresql://db/x?sslpassword=s3cret", "postgresql://db/x?sslpassword=***"),
        ("GET http://me:s3cret@host/x failed; ask a@b", "GET http://me:***@host/x failed; ask a@b"),
    ],
)
def test_passwords_in_uris_are_not_shown(uri, shown):
    assert redacted(uri) == shown


@pytest.mark.parametrize("uri", ["sqlite:////home/me@work/x.db", "http://host/x?a=b@c&n=1", "http://host/@me", "x"])
def test_a_uri_without_a_password_is_shown_as_it_is(uri):
    assert redacted(uri) == uri
