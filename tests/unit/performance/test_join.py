"""Labels find their predictions: by id or by entity and time, in any order, once, the corrected ones too."""

from datetime import timedelta

import pandas as pd
import pytest

from loopwright.errors import DataError
from loopwright.performance.join import by_entity, by_id

PREDICTIONS = pd.DataFrame(
    {
        "prediction_id": ["a", "b", "c", "a", "d", "a"],
        "model_version": ["1", "1", "1", "2", "1", "1"],
        "prediction": [0.1, 0.2, 0.3, 0.4, 0.5, 0.9],
    }
)


def test_labels_are_joined_by_id_for_every_version_and_a_batch_sent_twice_counts_once():
    labels = pd.DataFrame({"key": ["c", "x", "a"], "left": ["No", "No", "Yes"]})
    found = by_id(PREDICTIONS, labels, id="key", label="left")
    rows = {(row.prediction_id, row.model_version): (row.prediction, row.label) for row in found.rows.itertuples()}
    assert rows == {("a", "1"): (0.9, "Yes"), ("a", "2"): (0.4, "Yes"), ("c", "1"): (0.3, "No")}
    assert (found.labels, found.unknown, found.repeated, found.contradicting, found.unlabelled) == (3, 1, 0, 0, 2)


def test_the_last_label_of_an_id_stands_and_corrections_are_counted():
    labels = pd.DataFrame({"id": ["b", "b", "b", "c", None], "left": ["No", "No", "Yes", None, "No"]})
    found = by_id(PREDICTIONS, labels, id="id", label="left")
    assert found.rows["label"].tolist() == ["Yes"]
    assert (found.labels, found.repeated, found.contradicting) == (3, 2, 1)


def test_labels_are_joined_by_entity_with_the_nearest_in_time():
    predictions = pd.DataFrame(
        {
            "customer": ["7", "7", "8", "9"],
            "at": ["2026-01-01T10:02", "2026-02-01T09:58", "2026-01-01T10:00", "2026-01-01T10:00"],
            "prediction": [0.1, 0.2, 0.3, 0.4],
        }
    )
    labels = pd.DataFrame(
        {
            "customer": [8, 7, 7, 8, 5],
            "seen": [
                "2026-01-05T10:00",
                "2026-02-01T10:00Z",
                "2026-01-01T10:00",
                "2026-01-01T12:30+02:00",
                "2026-01-01",
            ],
            "left": ["late", "second", "first", "zone", "none"],
        }
    )
    found = by_entity(
        predictions, labels, entity="customer", at="at", seen="seen", label="left", within=timedelta(hours=1)
    )
    assert dict(zip(found.rows["prediction"], found.rows["label"], strict=True)) == {
        0.1: "first",
        0.2: "second",
        0.3: "zone",
    }
    assert (found.labels, found.unknown, found.unlabelled) == (5, 2, 1)


def test_what_is_no_moment_is_told():
    frame = pd.DataFrame({"customer": ["1"], "at": ["yesterday"], "left": ["x"], "prediction": [0.5]})
    with pytest.raises(DataError, match="the column at has no moments"):
        by_entity(frame, frame, entity="customer", at="at", seen="at", label="left", within=timedelta(hours=1))
