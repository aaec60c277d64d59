"""The learning curve is over nested parts of the rows, each fold left out in turn."""

import numpy as np
import pytest

from loopwright.errors import DataError
from loopwright.models.learning import SHARES, curve

FOLDS = np.arange(900) % 3


def test_growing_parts_hold_those_before_them_and_never_the_rows_left_out():
    seen = {}

    def judge(training, part):
        fold = int(FOLDS[part][0])
        assert not (training & part).any()
        assert part.sum() == 300
        before = seen.get(fold)
        assert before is None or training[before].all()
        seen[fold] = training
        return 1 - 1 / training.sum() + fold / 1000, 1.0

    found = curve("roc_auc", FOLDS, 7, judge)
    assert found["metric"] == "roc_auc"
    assert [one["rows"] for one in found["points"]] == pytest.approx([600 * share for share in SHARES], abs=25)
    assert all(training.sum() == 600 for training in seen.values())
    rising = [one["left_out"] for one in found["points"]]
    assert rising == sorted(rising)
    assert found["points"][-1]["left_out"] == pytest.approx(1 - 1 / 600 + 0.001)
    # The folds are 0, 0.001 and 0.002 apart.
    assert found["points"][-1]["error"] == pytest.approx(0.001 / np.sqrt(3), rel=1e-6)
    assert found["points"][0]["training"] == 1.0


def test_shares_that_cannot_be_trained_on_or_measured_are_left_out():
    def judge(training, part):
        if training.sum() < 100:
            raise DataError("the training rows have 1 class of the label")
        return (float("nan") if training.sum() < 200 else 0.8), 0.9

    assert [round(one["rows"], -1) for one in curve("roc_auc", FOLDS, 7, judge)["points"]] == [240, 420, 600]
