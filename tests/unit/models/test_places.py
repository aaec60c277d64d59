from pathlib import Path

import pytest

from loopwright.errors import ServingError
from loopwright.models import bundle, places


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bundle"
    made.mkdir()
    (made / "model.json").write_text('{"format": 1}')
    (made / "model.txt").write_text("tree")
    return made


def test_a_claim_that_is_mounted_gets_the_bundle_whole_and_once(folder, tmp_path):
    mount = tmp_path / "models"
    assert places.publish(folder, "pvc://churn-models/prefix/3", mount)
    copied = mount / "prefix" / "3"
    assert bundle.digest(copied) == bundle.digest(folder)
    before = copied.stat().st_mtime_ns
    assert places.publish(folder, "pvc://churn-models/prefix/3", mount)
    assert copied.stat().st_mtime_ns == before
    assert copied.stat().st_mode & 0o777 == 0o755, "the predictor runs as another user"
    assert [path.name for path in copied.parent.iterdir()] == ["3"], "no half-made copy is left"


def test_of_a_claim_that_is_not_mounted_nothing_is_said(folder):
    assert not places.publish(folder, "pvc://churn-models/3")


def test_another_bundle_is_never_replaced(folder, tmp_path):
    place = tmp_path / "models" / "3"
    place.mkdir(parents=True)
    (place / "model.json").write_text("another")
    with pytest.raises(ServingError, match="another bundle lies at pvc://churn-models/3"):
        places.publish(folder, "pvc://churn-models/3", tmp_path / "models")
    with pytest.raises(ServingError, match="another bundle lies at file://"):
        places.publish(folder, f"file://{place}")
    assert (place / "model.json").read_text() == "another"


def test_a_mount_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ServingError, match=r"cannot be put at .*file.*LOOPWRIGHT_MODELS"):
        places.publish(folder, "pvc://churn-models/3", tmp_path / "file")


def test_object_storage_gets_the_files_and_the_manifest_last(folder, tmp_path):
    place = tmp_path / "store" / "3"
    place.mkdir(parents=True)
    assert places.publish(folder, f"file://{place}")
    assert bundle.digest(place) == bundle.digest(folder)
    assert (place / "model.json").stat().st_mtime_ns >= (place / "model.txt").stat().st_mtime_ns
    assert places.publish(folder, f"file://{place}"), "the same again is left alone"


def test_what_was_cut_off_before_the_manifest_is_completed(folder, tmp_path):
    place = tmp_path / "3"
    place.mkdir()
    (place / "model.txt").write_text("tr")
    assert places.publish(folder, f"file://{place}")
    assert bundle.digest(place) == bundle.digest(folder)


def test_a_store_that_is_away_is_an_error_that_says_what_to_set(folder, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none-at-all")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    with pytest.raises(ServingError, match=r"cannot be put at s3://models/3(.|\n)*AWS_ACCESS_KEY_ID") as raised:
        places.publish(folder, "s3://models/3")
    assert "none-at-all" not in str(raised.value)
