import json
from datetime import UTC, datetime

import pytest

from loopwright.http import Refused
from loopwright.trigger.causes import BodyError
from loopwright.trigger.hooks import delivered, registered, verify

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
ALIAS = {
    "entity": "model_version_alias",
    "action": "created",
    "timestamp": "2026-11-21T09:00:00+00:00",
    "data": {"name": "embedder", "alias": "champion", "version": "3"},
}


def signed(body, key="s3cret", delivery="d1", moment=NOW):
    """The headers as MLflow makes them, by its own code."""
    from mlflow.webhooks.delivery import _generate_hmac_signature

    stamp = str(int(moment.timestamp()))
    signature = _generate_hmac_signature(key, delivery, stamp, body)
    return {"x-mlflow-delivery-id": delivery, "x-mlflow-timestamp": stamp, "x-mlflow-signature": signature}


def test_what_mlflow_signs_is_taken():
    body = json.dumps(ALIAS)
    assert verify(signed(body), body.encode(), "s3cret", NOW) == "d1"


@pytest.mark.parametrize(
    ("headers", "secret", "message"),
    [
        (lambda: signed("{}", key="other"), "s3cret", "signature"),
        (lambda: signed("{ }"), "s3cret", "signature"),
        (lambda: {**signed("{}"), "x-mlflow-delivery-id": "d2"}, "s3cret", "signature"),
        (lambda: {**signed("{}"), "x-mlflow-signature": "v1,\xfc"}, "s3cret", "signature"),
        (dict, "s3cret", "signature"),
        (lambda: signed("{}", moment=datetime(2026, 11, 21, 8, 54, tzinfo=UTC)), "s3cret", "300 seconds"),
        (lambda: signed("{}", key=" "), "", "LOOPWRIGHT_TOKEN"),
    ],
)
def test_what_is_not_signed_or_old_is_refused(headers, secret, message):
    with pytest.raises(Refused, match=message) as refused:
        verify(headers(), b"{}", secret, NOW)
    assert refused.value.status == 401


def test_a_new_champion_of_an_upstream_model_is_a_cause():
    cause = registered(json.dumps(ALIAS).encode(), "d1", ("embedder",))
    assert (cause.kind, cause.source) == ("event", "registry")
    assert cause.facts["summary"] == "version 3 of embedder became its champion"
    assert cause.key == registered(json.dumps(ALIAS).encode(), "d1", ("embedder",)).key
    assert cause.key != registered(json.dumps(ALIAS).encode(), "d2", ("embedder",)).key


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"action": "deleted"}, "model_version_alias deleted starts nothing"),
        ({"entity": "model_version"}, "model_version created starts nothing"),
        ({"data": {**ALIAS["data"], "name": "other"}}, "retrain.upstream has embedder, and not other"),
        ({"data": {**ALIAS["data"], "alias": "challenger"}}, "the alias challenger starts nothing"),
    ],
)
def test_other_messages_of_the_registry_start_nothing(change, reason):
    assert registered(json.dumps({**ALIAS, **change}).encode(), "d1", ("embedder",)).startswith(reason)


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", json.dumps({**ALIAS, "data": {"name": "x"}}).encode()])
def test_a_broken_message_is_a_broken_body(body):
    with pytest.raises(BodyError) as refused:
        registered(body, "d1", ("embedder",))
    assert refused.value.status == 400


def test_a_delivery_of_rows_is_known_by_its_id():
    body = {"id": "2026-11-21", "summary": "the day's rows", "by": "export"}
    cause = delivered(json.dumps(body).encode())
    assert (cause.source, cause.facts["by"], cause.kind) == ("new_data", "export", "event")
    assert delivered(json.dumps({**body, "summary": "again"}).encode()).key == cause.key
    with pytest.raises(BodyError, match="by: field required"):
        delivered(b'{"id": "1", "summary": "rows"}')
