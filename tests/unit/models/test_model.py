import io
import json
import zipfile

import numpy as np
import pytest

from loopwright.errors import BundleError, InputError
from loopwright.models import bundle, columns, model, scikit

ESTIMATORS = [
    ("lightgbm", "classification"),
    ("lightgbm", "regression"),
    ("logistic_regression", "classification"),
    ("linear_regression", "regression"),
    ("random_forest", "classification"),
    ("random_forest", "regression"),
    ("sklearn.ensemble:GradientBoostingClassifier", "classification"),
]


@pytest.mark.parametrize(("estimator", "task"), ESTIMATORS)
def test_a_loaded_model_predicts_exactly_what_the_trained_one_did(make_bundle, raw, estimator, task):
    folder, digest, fitted = make_bundle(estimator, task)
    loaded = model.load(folder, digest)
    predictions = loaded.predict(raw)
    np.testing.assert_array_equal(predictions, fitted.predict(loaded.matrix(raw)))
    assert predictions.dtype == np.float64
    assert predictions.std() > 0
    if task == "classification":
        assert 0 <= predictions.min() <= predictions.max() <= 1


@pytest.mark.parametrize("estimator", ["lightgbm", "logistic_regression", "random_forest"])
def test_one_row_at_a_time_equals_the_batch(make_bundle, raw, inputs, estimator):
    loaded = model.load(make_bundle(estimator)[0])
    batch = loaded.predict(raw)
    single = [loaded.predict(columns.from_rows(inputs, [row]))[0] for row in columns.to_rows(raw, 40)]
    np.testing.assert_allclose(single, batch[:40], rtol=0, atol=1e-15)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_quickened_model_predicts_the_same_to_the_last_bit(make_bundle, raw, task):
    loaded = model.load(make_bundle("lightgbm", task)[0])
    expected = loaded.predict(raw)
    assert (loaded.engine, loaded.gain) == ("lightgbm", 1.0)
    loaded.quicken()
    assert loaded.engine == "bit vectors"
    assert loaded.gain > 1
    np.testing.assert_array_equal(loaded.predict(raw), expected)


@pytest.mark.parametrize("estimator", ["random_forest", "logistic_regression"])
def test_other_models_stay_as_they_are(make_bundle, raw, estimator):
    loaded = model.load(make_bundle(estimator)[0])
    expected = loaded.predict(raw)
    loaded.quicken()
    assert (loaded.engine, loaded.gain) == ("scikit-learn", 1.0)
    np.testing.assert_array_equal(loaded.predict(raw), expected)


@pytest.mark.parametrize("estimator", ["lightgbm", "logistic_regression"])
def test_an_unseen_category_is_predicted_as_a_missing_one(make_bundle, inputs, estimator):
    loaded = model.load(make_bundle(estimator)[0])
    row = {"plan": "basic", "tenure": 3, "charges": 50.0, "senior": False}
    known, unseen, missing = (
        loaded.predict(columns.from_rows(inputs, [{**row, "plan": plan}]))[0] for plan in ("basic", "unheard of", None)
    )
    assert unseen == missing
    assert known != missing


def test_it_predicts_what_lightgbm_itself_predicts(trained, raw):
    import lightgbm

    loaded = model.load(trained[0])
    booster = lightgbm.Booster(model_file=str(trained[0] / "model.txt"))
    np.testing.assert_array_equal(loaded.predict(raw), booster.predict(loaded.matrix(raw), num_threads=1))


def test_no_rows_are_refused(trained, inputs):
    with pytest.raises(InputError, match="no rows to predict"):
        model.load(trained[0]).predict(columns.from_rows(inputs, []))


def test_a_skops_file_with_a_type_beyond_the_list_is_refused_by_name(make_bundle, tmp_path):
    source, _, _ = make_bundle("logistic_regression")
    read = bundle.read(source)
    contents = {**read.contents, "model.skops": evil(read.contents["model.skops"])}
    del contents["model.json"]
    bundle.write(tmp_path / "evil", read.manifest, contents)
    with pytest.raises(BundleError, match=r"model.skops holds types that are not trusted: subprocess.Popen"):
        model.load(tmp_path / "evil")


def evil(content: bytes) -> bytes:
    """The archive with one of its objects' types replaced."""
    source = zipfile.ZipFile(io.BytesIO(content))
    schema = json.loads(source.read("schema.json"))
    schema.update({"__class__": "Popen", "__module__": "subprocess"})
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as target:
        for name in source.namelist():
            target.writestr(name, json.dumps(schema) if name == "schema.json" else source.read(name))
    return result.getvalue()


def test_damaged_model_text_is_refused(trained, tmp_path):
    read = bundle.read(trained[0])
    contents = {**read.contents, "model.txt": b"not a model"}
    del contents["model.json"]
    bundle.write(tmp_path / "damaged", read.manifest, contents)
    with pytest.raises(BundleError, match="cannot be loaded"):
        model.load(tmp_path / "damaged")


def test_the_list_of_trusted_types_has_no_functions_and_no_wildcards():
    assert all(name.startswith(("sklearn.", "numpy.")) for name in scikit.TRUSTED)
