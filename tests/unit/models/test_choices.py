import numpy as np
import pandas as pd
import pytest

from loopwright.errors import BundleError, DataError, DeclarationError
from loopwright.loop import EarlyStopping, Model
from loopwright.models import bundle, calibration, fit
from loopwright.models.choices import Choices
from loopwright.models.features import FeatureSpec
from loopwright.models.layout import Layout

SPECS = [FeatureSpec(name="a", kind="number"), FeatureSpec(name="b", kind="number")]
SMALL = {"num_iterations": 60, "num_leaves": 4, "learning_rate": 0.1}


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(4)
    matrix = random.normal(size=(1500, 2))
    return matrix, matrix[:, 0] + 0.5 * matrix[:, 1] ** 2, random


def trained(task, matrix, target, choices, estimator="lightgbm", parameters=SMALL, **more):
    return fit.fit(task, estimator, parameters, 7, matrix, SPECS, target, choices=choices, **more)


def test_a_quantile_is_what_it_says_and_the_absolute_loss_predicts_the_median(table):
    matrix, score, random = table
    target = score + random.exponential(1, len(score))
    high = trained("regression", matrix, target, Choices("quantile", 0.9)).predict(matrix)
    assert np.mean(target <= high) == pytest.approx(0.9, abs=0.03)
    middle = trained("regression", matrix, target, Choices("absolute")).predict(matrix)
    assert np.mean(target <= middle) == pytest.approx(0.5, abs=0.05)
    mean = trained("regression", matrix, target, Choices("squared")).predict(matrix)
    assert mean.mean() > middle.mean() + 0.1


def test_poisson_predicts_means_of_counts_and_refuses_what_is_none(table):
    matrix, score, random = table
    target = random.poisson(np.exp(score / 2)).astype(float)
    predicted = trained("regression", matrix, target, Choices("poisson")).predict(matrix)
    assert predicted.min() > 0
    assert predicted.mean() == pytest.approx(target.mean(), rel=0.05)
    with pytest.raises(DataError, match="the label goes down to -1"):
        trained("regression", matrix, target - 1, Choices("poisson"))
    forest = trained("regression", matrix, target, Choices("poisson"), "random_forest", {"n_estimators": 5})
    assert forest.estimator.named_steps["estimator"].criterion == "poisson"


def test_an_objective_that_an_estimator_does_not_have_is_refused(table):
    matrix, score, _ = table
    with pytest.raises(DeclarationError, match="linear_regression has no objective quantile; expected lightgbm"):
        trained("regression", matrix, score, Choices("quantile", 0.9), "linear_regression", {})
    with pytest.raises(DeclarationError, match=r"in model.parameters and in model.objective"):
        trained("regression", matrix, score, Choices("absolute"), parameters={"objective": "huber"})


@pytest.mark.parametrize(("estimator", "parameters"), [("lightgbm", SMALL), ("logistic_regression", {})])
def test_a_weighted_class_is_predicted_more(table, estimator, parameters):
    matrix, score, _ = table
    target = (score > 1.5).astype(float)
    plain, balanced, given = (
        trained("classification", matrix, target, Choices(class_weight=weight), estimator, parameters)
        .predict(matrix)
        .mean()
        for weight in (None, "balanced", (1.0, 3.0))
    )
    assert plain + 0.03 < balanced
    assert plain + 0.02 < given


def test_a_weight_is_of_a_class_that_there_is():
    model = Model.model_validate({"task": "classification", "class_weight": {"Yes": 4}})
    assert Choices.of(model, ["No", "Yes"]).class_weight == (1.0, 4.0)
    spelled = Model.model_validate({"task": "classification", "class_weight": {"1": 4, "true": 2}})
    assert Choices.of(spelled, ["0.0", "1.0", "True"]).class_weight == (1.0, 4.0, 2.0)
    with pytest.raises(DeclarationError, match="names Yes; expected the label's classes: 0, 1"):
        Choices.of(model, ["0", "1"])


def test_early_stopping_ends_where_a_part_left_out_gains_nothing(table):
    matrix, score, random = table
    target = (score + random.normal(0, 2, len(score)) > 0).astype(float)
    choices = Choices(early_stopping=EarlyStopping(rounds=10))
    found = trained("classification", matrix, target, choices, parameters={"learning_rate": 0.3})
    assert found.trees is not None
    assert 1 <= found.trees < 60
    assert found.estimator.num_trees() == found.trees
    again = trained("classification", matrix, target, choices, parameters={"learning_rate": 0.3})
    assert again.dump() == found.dump()


@pytest.mark.parametrize("newest", [True, False])
def test_early_stopping_is_refused_where_a_part_lacks_a_class(table, newest):
    matrix, _, _ = table
    times = np.arange(len(matrix), dtype=float)
    # By time the newest rows tell: of a class that ended, or that began, one of the parts has none.
    target = (times < 100 if newest else times >= len(matrix) - 20).astype(float)
    choices, layout = Choices(early_stopping=EarlyStopping()), Layout(len(matrix), 7, times=times)
    where = "told by" if newest else "leaves"
    with pytest.raises(DataError, match=rf"early stopping .*{where} has rows of 1 of 2 classes"):
        fit.fit("classification", "lightgbm", {}, 7, matrix, SPECS, target, choices=choices, layout=layout)


def test_early_stopping_is_not_for_dart(table):
    matrix, score, _ = table
    with pytest.raises(DeclarationError, match=r"early stopping cannot choose .*dart"):
        trained("regression", matrix, score, Choices(early_stopping=EarlyStopping()), parameters={"boost": "dart"})
    declared = {"task": "regression", "early_stopping": {}}
    for more in ({"parameters": {"boosting_type": "dart"}}, {"search": {"space": {"boosting": {"choices": ["dart"]}}}}):
        with pytest.raises(ValueError, match="early_stopping is not for"):
            Model.model_validate({**declared, **more})
    Model.model_validate({**declared, "search": {"space": {"boosting": {"choices": ["gbdt", "goss"]}}}})


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibrated_probabilities_are_what_they_say(table, method, tmp_path):
    matrix, score, random = table
    target = (random.random(len(score)) < 1 / (1 + np.exp(-score))).astype(float)
    choices = Choices(class_weight=(1.0, 6.0), calibration=method)
    found = trained("classification", matrix, target, choices)
    assert found.predict(matrix).mean() == pytest.approx(target.mean(), abs=0.02)
    off = trained("classification", matrix, target, choices.without_calibration()).predict(matrix).mean()
    assert off > target.mean() + 0.15
    manifest = bundle.Manifest(loop="a", task="classification", estimator="lightgbm", inputs=(), features=tuple(SPECS))
    bundle.write(tmp_path / "model", manifest, found.dump())
    kept = calibration.read(bundle.read(tmp_path / "model"))
    assert kept == found.calibration
    scores = np.linspace(0, 1, 50)
    assert np.all(np.diff(kept(scores)) >= 0)
    assert calibration.of_row(kept, lambda row: row[0])([0.3]) == kept(np.array([0.3]))[0]


def test_what_is_no_calibration_is_refused(tmp_path):
    manifest = bundle.Manifest(loop="a", task="classification", estimator="lightgbm", inputs=(), features=tuple(SPECS))
    bundle.write(
        tmp_path / "model", manifest, {bundle.CALIBRATION: b'{"format": 2, "method": "pickle", "x": [], "y": []}'}
    )
    with pytest.raises(BundleError, match=r"calibration.json cannot be used"):
        calibration.read(bundle.read(tmp_path / "model"))


def test_parts_keep_entities_whole_and_follow_time():
    entities = np.repeat(np.arange(100), 3)
    layout = Layout(300, 7, entities)
    for part in (layout.folds(4), layout.part(0.25)):
        assert pd.Series(part).groupby(entities).nunique().max() == 1
    assert np.bincount(layout.folds(4)).tolist() == [75, 75, 75, 75]
    assert layout.part(0.25).sum() == 75
    times = np.random.default_rng(1).permutation(300)
    timed = Layout(300, 7, None, times)
    assert times[timed.part(0.2)].min() == 240
    assert times[timed.folds(3) == 0].max() < times[timed.folds(3) == 1].min()


def test_a_calibration_needs_no_row_in_every_part(table):
    matrix, score, _ = table
    layout = Layout(300, 7, entities=np.arange(300) % 3)
    found = trained(
        "classification",
        matrix[:300],
        score[:300] > 0,
        Choices(calibration="sigmoid"),
        "logistic_regression",
        {},
        layout=layout,
    )
    assert found.calibration is not None


@pytest.mark.parametrize("weight", [None, "balanced"])
def test_a_calibration_whose_part_holds_one_class_alone_is_told(table, weight):
    matrix, _, _ = table
    layout, target = Layout(300, 7, times=np.arange(300)), np.arange(300) < 30
    choices = Choices(calibration="sigmoid", class_weight=weight)
    with pytest.raises(DataError, match="without one of 5 parts the training rows have not both classes"):
        trained("classification", matrix[:300], target, choices, "random_forest", {}, layout=layout)
