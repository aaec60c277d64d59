import numpy as np
import pytest
from sklearn import metrics as reference

from loopwright.governance import pictures
from loopwright.statistics import metrics


def test_precision_from_the_roc_curve_and_the_share_of_positives_is_scikit_learns(monkeypatch):
    random = np.random.default_rng(5)
    truth = random.random(4000) < 0.2
    score = 1 / (1 + np.exp(-(random.normal(size=4000) + 1.5 * truth - 1)))
    drawn = []
    monkeypatch.setattr(pictures.svg, "path", lambda points, kind, title="": drawn.append(points) or "")
    evaluation = {
        "curves": metrics.curves("classification", truth, score),
        "confusion": metrics.confusion(truth, score),
    }
    assert pictures.precision_recall(3, evaluation) is not None
    box = pictures.Box(36, 46, pictures.SIDE - 6, pictures.HEIGHT - 44)
    precision, recall, _ = reference.precision_recall_curve(truth, score)
    for x, y in drawn[0]:
        at = (x - box.left) / (box.right - box.left)
        if at > 0.1:
            near = precision[np.argmin(np.abs(recall - at))]
            assert (box.bottom - y) / (box.bottom - box.top) == pytest.approx(near, abs=0.03)


def test_without_curves_there_are_no_pictures():
    assert pictures.judged(1, {"metrics": {}, "curves": {}}) == []
    assert pictures.precision_recall(1, {}) is None
    assert pictures.importance(None) is None
