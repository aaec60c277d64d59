import pytest

from loopwright import settings
from loopwright.errors import RegistryError
from loopwright.registry import Registry


def test_a_registry_that_does_not_answer_is_named_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    # MLflow's own message repeats the URI. Nothing listens on port 9, `discard`.
    uri = "http://me:s3cret@127.0.0.1:9"
    registry = Registry(settings.read(tmp_path, {"LOOPWRIGHT_REGISTRY_URI": uri}))
    with pytest.raises(RegistryError) as refused:
        registry.champion("churn")
    assert "http://me:***@127.0.0.1:9" in str(refused.value)
    assert "s3cret" not in str(refused.value)
