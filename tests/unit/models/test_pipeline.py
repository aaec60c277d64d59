import pytest

from loopwright.models import model, pipeline
from loopwright.models.model import sklearn_score

ESTIMATORS = [
    ("logistic_regression", "classification"),
    ("linear_regression", "regression"),
    ("random_forest", "classification"),
    ("random_forest", "regression"),
    ("sklearn.ensemble:GradientBoostingClassifier", "classification"),
]


@pytest.mark.parametrize(("estimator", "task"), ESTIMATORS)
def test_batches_and_rows_are_bit_for_bit_what_scikit_learn_predicts(make_bundle, raw, monkeypatch, estimator, task):
    loaded = model.load(make_bundle(estimator, task)[0])
    matrix = loaded.matrix(raw)
    expected = sklearn_score(loaded.estimator, task)
    batch = expected(matrix).tolist()
    rows = [float(expected(row[None])[0]) for row in matrix[:30]]
    # The pipeline's own preparation is not used.
    monkeypatch.setattr(type(loaded.estimator), "predict", None)
    monkeypatch.setattr(type(loaded.estimator.named_steps["prepare"]), "transform", None)
    assert loaded._score(matrix).tolist() == batch
    assert [loaded._score_row(row) for row in matrix[:30].tolist()] == rows


def test_a_preparation_that_does_not_agree_is_scikit_learns_own(make_bundle, raw, monkeypatch):
    loaded = model.load(make_bundle("logistic_regression")[0])
    matrix = loaded.matrix(raw)
    expected = sklearn_score(loaded.estimator, "classification")
    scaler = loaded.estimator.named_steps["prepare"].named_transformers_["numbers"].named_steps["scale"]
    monkeypatch.setattr(scaler, "with_mean", False)
    assert pipeline._preparation(loaded.estimator.named_steps["prepare"])[0] is None
    many, one = pipeline.scores(loaded.estimator, lambda part: sklearn_score(part, "classification"))
    assert many(matrix).tolist() == expected(matrix).tolist()
    assert one(matrix[0].tolist()) == expected(matrix[:1])[0]


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("value", [float("inf"), 1e300])
def test_what_scikit_learn_refuses_is_refused_for_one_row_too(make_bundle, raw, value):
    loaded = model.load(make_bundle("random_forest")[0])
    row = loaded.matrix(raw)[0].tolist()
    row[1] = value
    with pytest.raises(ValueError, match="infinity or a value too large"):
        loaded._score_row(row)
