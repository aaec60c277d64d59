import numpy as np
import pytest

from loopwright.models import columns, explain, model


def logit(probability):
    return np.log(probability / (1 - probability))


@pytest.mark.parametrize(
    ("estimator", "task"),
    [
        ("lightgbm", "classification"),
        ("lightgbm", "regression"),
        ("logistic_regression", "classification"),
        ("linear_regression", "regression"),
    ],
)
def test_contributions_and_base_value_add_up_to_the_prediction(make_bundle, raw, estimator, task):
    loaded = model.load(make_bundle(estimator, task)[0])
    rows = explain.explainer(loaded)(raw)
    predictions = loaded.predict(raw)
    found = np.array([row["raw_score"] for row in rows])
    np.testing.assert_allclose(found, predictions if task == "regression" else logit(predictions), rtol=1e-9)
    for row in rows:
        assert list(row["contributions"]) == [spec.name for spec in loaded.manifest.features]
        assert row["base_value"] + sum(row["contributions"].values()) == pytest.approx(row["raw_score"], abs=1e-9)
    assert len({row["base_value"] for row in rows}) == 1
    assert np.std([row["contributions"]["tenure"] for row in rows]) > 0


def test_a_linear_contribution_is_the_coefficients_share_of_its_feature(make_bundle, inputs):
    loaded = model.load(make_bundle("logistic_regression")[0])
    steps = loaded.estimator.named_steps
    row = {"plan": "pro", "tenure": 12, "charges": None, "senior": True}
    raw = columns.from_rows(inputs, [row, {**row, "plan": None}])
    first, missing = explain.explainer(loaded)(raw)
    weights = dict(
        zip(steps["prepare"].get_feature_names_out(), np.ravel(steps["estimator"].coef_).tolist(), strict=True)
    )
    at = [spec.name for spec in loaded.manifest.features].index("plan")
    known = [spec.values for spec in loaded.manifest.features][at].index("pro")
    assert first["contributions"]["plan"] == weights[f"categories__x{at}_{float(known)}"]
    assert missing["contributions"]["plan"] == weights[f"categories__x{at}_-1.0"]
    assert first["base_value"] == float(steps["estimator"].intercept_[0])
    # A missing number is its median, and so has a contribution too.
    number = loaded.matrix(raw)
    prepared = steps["prepare"].transform(number)
    names = list(steps["prepare"].get_feature_names_out())
    charges = [spec.name for spec in loaded.manifest.features].index("charges")
    column = names.index(f"numbers__x{charges}")
    assert first["contributions"]["charges"] == prepared[0, column] * weights[f"numbers__x{charges}"]


def test_a_forests_contributions_add_up_to_its_probability_or_value(make_bundle, raw):
    for task in ("classification", "regression"):
        loaded = model.load(make_bundle("random_forest", task)[0])
        rows = explain.explainer(loaded)(raw)
        np.testing.assert_allclose([row["raw_score"] for row in rows], loaded.predict(raw), rtol=0, atol=1e-12)
        assert len({row["base_value"] for row in rows}) == 1
        assert explain.of_model(loaded).method == "TreeSHAP"


def test_what_needs_a_reference_row_and_has_none_has_no_explainer(trained, raw):
    import lightgbm

    loaded = model.load(trained[0])
    rows = loaded.matrix(raw)
    parameters = {"linear_tree": True, "verbosity": -1, "num_threads": 1}
    loaded.estimator = lightgbm.train(parameters, lightgbm.Dataset(rows, rows[:, 1], params=parameters), 3)
    assert explain.explainer(loaded) is None
    loaded.score, loaded.reference = loaded.estimator.predict, np.nanmedian(rows, axis=0)
    explained = explain.of_model(loaded)
    assert explained.method == "sampled"
    np.testing.assert_allclose(explained(rows).sum(axis=1), loaded.estimator.predict(rows), atol=1e-9)


def test_a_model_that_takes_long_is_explained_on_fewer_rows_and_never_on_too_few():
    usual, slow = (explain.Contributions(np.asarray, "TreeSHAP", slowness) for slowness in (0.1, 64.0))
    assert [one.affordable(2000, 200) for one in (usual, slow)] == [2000, 200]
    assert explain.Contributions(np.asarray, "TreeSHAP", 4.0).affordable(2000, 200) == 500


def test_what_training_keeps_of_a_model_that_is_slow_or_of_unknown_speed_is_of_few_rows():
    from sklearn.datasets import make_classification
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import Pipeline

    from loopwright.models.attributions import LEAST_ROWS, MOST_ROWS, Attributions

    assert explain.Contributions(np.asarray, "TreeSHAP", 64.0).affordable(MOST_ROWS, LEAST_ROWS) == 31
    matrix, target = make_classification(400, 12, random_state=0)
    slow = Pipeline([("prepare", "passthrough"), ("estimator", KNeighborsClassifier())]).fit(matrix, target)
    asked = []

    def score(rows):
        asked.append(len(rows))
        return slow.predict_proba(rows)[:, 1]

    names = [f"f{at}" for at in range(12)]
    contribute = explain.contributions(slow, 12, score, matrix[0])
    found = Attributions.of(contribute, names, matrix, 1, matrix[0])
    assert (found.method, found.rows) == ("sampled", 30)
    assert sum(asked) < 30 * 200
