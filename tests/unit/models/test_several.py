"""More than two classes through the estimators, the bundle and the explanations."""

import numpy as np
import pytest
from scipy.special import softmax

from loopwright.errors import BundleError, DataError
from loopwright.models import bundle, calibration, explain, features, fit, model
from loopwright.models.attributions import Attributions
from loopwright.models.choices import Choices

CLASSES = ("red", "green", "blue")
ESTIMATORS = ("lightgbm", "logistic_regression", "random_forest")


@pytest.fixture(scope="module")
def target(frame, raw):
    return np.where(raw["tenure"] > 40, 2.0, np.where(frame["churned"] == "Yes", 1.0, 0.0))


@pytest.fixture(scope="module", params=ESTIMATORS)
def loaded(request, raw, inputs, target, tmp_path_factory):
    specs = features.fit_spec(raw)
    parameters = {} if request.param == "logistic_regression" else {"n_estimators": 20}
    choices = Choices(classes=3, class_weight="balanced")
    matrix = features.encode(specs, raw)
    fitted = fit.fit("classification", request.param, parameters, 7, matrix, specs, target, choices=choices)
    manifest = bundle.Manifest(
        loop="zoo", task="classification", estimator=request.param, classes=CLASSES, inputs=inputs, features=specs
    )
    folder = tmp_path_factory.mktemp("several") / "model"
    digest = bundle.write(folder, manifest, fitted.dump())
    assert np.array_equal(model.load(folder, digest).predict(raw), fitted.predict(matrix))
    return model.load(folder, digest)


def test_each_row_has_a_probability_of_each_class_that_knows_the_target(loaded, raw, target):
    found = loaded.predict(raw)
    assert found.shape == (len(target), 3)
    assert found.sum(axis=1) == pytest.approx(np.ones(len(target)))
    assert (found.argmax(axis=1) == target).mean() > 0.7


def test_one_row_gets_what_it_gets_among_many(loaded, raw):
    expected = loaded.predict(raw)
    for row in range(0, 60, 7):
        values = [raw[spec.name][row] for spec in loaded.inputs]
        found = loaded.predict_row([value.item() if hasattr(value, "item") else value for value in values])
        assert isinstance(found, list)
        assert found == pytest.approx(expected[row].tolist(), abs=1e-12)


def test_batches_of_many_rows_stay_with_the_library(loaded, raw):
    expected = loaded.predict(raw)
    engine = loaded.engine
    loaded.quicken()
    assert loaded.engine == engine
    assert np.array_equal(loaded.predict(raw), expected)


def test_contributions_of_each_class_add_up_to_its_raw_score(loaded, raw):
    explained = explain.explainer(loaded)
    some = {name: values[:20] for name, values in raw.items()}
    scores = np.array([[one["raw_score"] for one in row["classes"].values()] for row in explained(some)])
    probabilities = scores if loaded.manifest.estimator == "random_forest" else softmax(scores, axis=1)
    assert probabilities == pytest.approx(loaded.predict(some), abs=1e-9)
    first = explained(some)[0]["classes"]
    assert list(first) == list(CLASSES)
    assert sum(first["blue"]["contributions"].values()) + first["blue"]["base_value"] == pytest.approx(
        first["blue"]["raw_score"]
    )


def test_attributions_are_one_a_feature_over_all_classes(loaded, raw):
    names = [spec.name for spec in loaded.manifest.features]
    found = Attributions.of(explain.of_model(loaded), names, loaded.matrix(raw), 7)
    assert found.mean.shape == (len(names),)
    assert names[int(found.mean.argmax())] == "tenure"


def test_a_class_without_a_row_is_refused(raw, target):
    specs = features.fit_spec(raw)
    with pytest.raises(DataError, match="2 classes of the label; expected rows of all 3 classes"):
        fit.fit(
            "classification", "lightgbm", {}, 7, features.encode(specs, raw), specs, np.minimum(target, 1.0),
            choices=Choices(classes=3),
        )  # fmt: skip


def test_a_part_without_a_class_never_predicts_it(raw, target):
    matrix = features.encode(features.fit_spec(raw), raw)
    from loopwright.models import scikit

    specs, known = features.fit_spec(raw), target != 1
    made = scikit.fit("classification", "logistic_regression", {}, 7, matrix[known], specs, target[known], 1)
    found = model.sklearn_score(made, "classification", 3)(matrix)
    assert found.shape == (len(matrix), 3)
    assert not found[:, 1].any()


def test_balanced_weights_give_every_class_the_same_sum():
    target = np.array([0, 0, 0, 1, 1, 2], dtype=float)
    weights = Choices(classes=3, class_weight="balanced").weights(target)
    assert [weights[target == place].sum() for place in range(3)] == pytest.approx([2.0, 2.0, 2.0])
    own = Choices(classes=3, class_weight=(1.0, 2.0, 5.0)).weights(target)
    assert own.tolist() == [1, 1, 1, 2, 2, 5]


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_each_class_is_calibrated_against_the_rest(raw, inputs, target, tmp_path, method):
    """Weights make the first class look four times as likely; calibration takes that back."""
    specs = features.fit_spec(raw)
    matrix = features.encode(specs, raw)
    shares = np.bincount(target.astype(int)) / len(target)

    def fitted(choices):
        parameters = {"n_estimators": 60, "learning_rate": 0.1}
        return fit.fit("classification", "lightgbm", parameters, 7, matrix, specs, target, choices=choices)

    weighted = Choices(classes=3, class_weight=(8.0, 1.0, 1.0))
    off = fitted(weighted).predict(matrix).mean(axis=0)
    made = fitted(Choices(classes=3, class_weight=(8.0, 1.0, 1.0), calibration=method))
    found = made.predict(matrix)
    assert found.sum(axis=1) == pytest.approx(np.ones(len(matrix)))
    assert np.abs(found.mean(axis=0) - shares).max() < 0.05 < 0.08 < np.abs(off - shares).max()
    manifest = bundle.Manifest(
        loop="zoo", task="classification", estimator="lightgbm", classes=CLASSES, inputs=inputs, features=specs
    )
    bundle.write(tmp_path / "model", manifest, made.dump())
    loaded = model.load(tmp_path / "model")
    assert np.array_equal(loaded.predict(raw), found)
    values = [raw[spec.name][0] for spec in loaded.inputs]
    one = loaded.predict_row([value.item() if hasattr(value, "item") else value for value in values])
    assert one == pytest.approx(found[0].tolist(), abs=1e-12)


def test_a_calibration_of_other_classes_is_refused(inputs, tmp_path):
    for number, text in enumerate(('1, "method": "sigmoid", "x": [1], "y": [0]', '2, "classes": []')):
        manifest = bundle.Manifest(
            loop="zoo", task="classification", estimator="lightgbm", classes=CLASSES, inputs=inputs, features=()
        )
        folder = tmp_path / str(number)
        bundle.write(folder, manifest, {bundle.CALIBRATION: f'{{"format": {text}}}'.encode()})
        with pytest.raises(BundleError, match=r"calibration\.json cannot be used"):
            calibration.read(bundle.read(folder))


def test_a_row_that_no_class_is_given_keeps_what_it_had():
    none = calibration.Calibration("isotonic", (0.0, 1.0), (0.0, 0.0))
    scores = np.array([[0.2, 0.3, 0.5]])
    assert np.array_equal(calibration.OneAgainstRest((none, none, none))(scores), scores)
