"""Parts of the training rows on which no set of parameters could be tried: said before the first is."""

import numpy as np
import pytest

from loopwright import declaration
from loopwright.errors import DataError
from loopwright.models.choices import Choices
from loopwright.models.features import encode, fit_spec
from loopwright.models.layout import Layout
from loopwright.steps import tried

ROWS = 300


def prepared(kinds, metric, classes=("a", "b", "c"), folds=5):
    """Rows in the order of time, of the classes `kinds` (n,) by their place, and a search over `folds` parts."""
    label = f", classes: [{', '.join(classes)}]" if len(classes) > 2 else ""
    loop = declaration.parse(f"""
apiVersion: loopwright/v1
kind: Loop
metadata: {{name: late}}
data: {{source: rows.csv, label: {{column: y{label}}}, contract: {{x: {{type: number}}}}}}
model:
  task: classification
  estimator: logistic_regression
  search: {{metric: {metric}, trials: 1, folds: {folds}, space: {{C: {{low: 0.1, high: 1.0}}}}}}
""")
    columns = {"x": np.random.default_rng(1).normal(size=ROWS) + kinds}
    specs = fit_spec(columns)
    wanted = kinds if len(classes) > 2 else kinds.astype(bool)
    layout, choices = Layout(ROWS, 7, times=np.arange(ROWS)), Choices.of(loop.model, classes)
    return tried.Prepared(loop, encode(specs, columns), specs, wanted, choices, layout, 1, classes)


def mixed(classes=3):
    return np.arange(ROWS) % classes


def test_a_part_without_a_class_that_the_metric_needs_is_named():
    kinds = mixed()
    kinds[:60][kinds[:60] == 2] = 0
    with pytest.raises(DataError, match=r"in part 1 of 5 of the training rows the label y is never c; .* roc_auc_ovr"):
        prepared(kinds, "roc_auc_ovr").search(None)
    assert prepared(kinds, "balanced_accuracy").search(None)["complete"] == 1
    assert prepared(mixed(), "roc_auc_ovr").search(None)["complete"] == 1


def test_a_class_of_one_part_alone_is_named():
    kinds = mixed()
    kinds[:240][kinds[:240] == 2] = 0
    with pytest.raises(DataError, match="the label y is c in part 5 of 5 of the training rows alone"):
        prepared(kinds, "accuracy").search(None)


def test_of_two_classes_the_same_is_said():
    kinds = mixed(2)
    kinds[60:120] = 0
    two = ("no", "yes")
    with pytest.raises(DataError, match="in part 2 of 5 of the training rows the label y is never yes"):
        prepared(kinds, "roc_auc", two).search(None)
    assert prepared(kinds, "log_loss", two).search(None)["complete"] == 1
