"""scikit-learn estimators: made, fitted behind their preparation, and kept without pickle.

skops writes an archive of a schema and arrays, and reads one of trusted types only. It names its entries by the
objects' addresses in memory; here they are renamed, so that the same estimator gives the same bytes, wherever its parts
were fitted.
"""

import importlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from loopwright.errors import BundleError, DeclarationError
from loopwright.loop import Scalar
from loopwright.models.columns import Array
from loopwright.models.features import FeatureSpec

# What a scikit-learn estimator may hold beyond the types that skops itself trusts (scikit-learn's estimators, NumPy's
# and SciPy's public types): fitted trees, neighbours and optimizers, plain data of scikit-learn's compiled modules.
TRUSTED = frozenset(
    {
        "numpy.dtype",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
    }
)
Parallel = Callable[[Callable[[], Any]], Any]
"""Gives what a function gives, whose parallel work, joblib's, is done by other processes meanwhile."""

# The earliest moment that a zip archive can carry.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def fit(
    task: str,
    estimator: str,
    parameters: Mapping[str, Scalar],
    seed: int,
    matrix: Array,
    specs: Sequence[FeatureSpec],
    target: Array,
    threads: int,
    weights: Array | None = None,
    parallel: Parallel | None = None,
) -> Any:
    """Fit the named estimator behind its preparation; see `loopwright.models.fit.fit` for arguments and errors."""
    from sklearn.pipeline import Pipeline

    try:
        final = _estimator(task, estimator, parameters, threads)
        if "random_state" in final.get_params(deep=False):
            final.set_params(random_state=seed)
    except DeclarationError:
        raise
    except Exception as error:
        raise DeclarationError(
            f"the estimator {estimator} cannot be made: {type(error).__name__}: {error}",
            do="correct model.estimator and model.parameters in loop.yaml",
        ) from error
    if task == "classification" and not hasattr(final, "predict_proba"):
        raise DeclarationError(f"the estimator {estimator} has no predict_proba", expected="a classifier")
    if parallel is not None and not any(name.rpartition("__")[2] == "n_jobs" for name in final.get_params()):
        raise DeclarationError(
            f"the estimator {estimator} does nothing in parallel, so `scale` has nothing to hand out",
            expected="one with n_jobs, itself or in what it is composed of",
            do="leave out scale in loop.yaml",
        )
    prepare = _prepare(specs)
    try:
        weighted = {} if weights is None else {"sample_weight": weights}
        wanted = target.astype(np.int64) if task == "classification" else target
        seen = prepare.fit_transform(matrix)
        # The preparation has its columns in parallel, too, which is not worth that rows travel.
        (parallel or _here)(lambda: final.fit(seen, wanted, **weighted))
    except ValueError as error:
        # scikit-learn checks parameters as late as here.
        raise DeclarationError(
            f"the estimator {estimator} cannot be trained: {error}", do="correct model.parameters in loop.yaml"
        ) from error
    except TypeError as error:
        if weights is None:
            raise
        raise DeclarationError(
            f"the estimator {estimator} takes no weights: {error}", do="leave model.class_weight out"
        ) from error
    if "n_jobs" in final.get_params(deep=False):
        # Threads help to train; handing one row to a pool of them would only slow a prediction.
        final.set_params(n_jobs=1)
    return Pipeline([("prepare", prepare), ("estimator", final)])


def _here(function: Callable[[], Any]) -> Any:
    return function()


def _estimator(task: str, name: str, parameters: Mapping[str, Scalar], threads: int) -> Any:
    from sklearn import ensemble, linear_model

    if ":" in name:
        module, _, factory = name.partition(":")
        return getattr(importlib.import_module(module), factory)(**parameters)
    if (name, task) == ("logistic_regression", "classification"):
        return linear_model.LogisticRegression(**{"max_iter": 1000, **parameters})
    if (name, task) == ("linear_regression", "regression"):
        return linear_model.LinearRegression(**parameters)
    if name == "random_forest":
        kind = ensemble.RandomForestClassifier if task == "classification" else ensemble.RandomForestRegressor
        return kind(**{"n_estimators": 200, "min_samples_leaf": 5, "n_jobs": threads, **parameters})
    raise DeclarationError(
        f"the estimator {name} cannot do {task}",
        expected="lightgbm, random_forest, module:factory or "
        + ("logistic_regression" if task == "classification" else "linear_regression"),
    )


def _prepare(specs: Sequence[FeatureSpec]) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [at for at, spec in enumerate(specs) if spec.kind == "number"]
    categories = [at for at, spec in enumerate(specs) if spec.kind == "category"]
    number = [("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("scale", StandardScaler())]
    # Missing and unseen categories are NaN in the matrix; they share the code -1, and a column of their own.
    codes = [[-1.0, *map(float, range(len(specs[at].values)))] for at in categories]
    category = [
        ("impute", SimpleImputer(strategy="constant", fill_value=-1.0, keep_empty_features=True)),
        ("encode", OneHotEncoder(categories=codes, handle_unknown="ignore", sparse_output=False)),
    ]
    return ColumnTransformer(
        [("numbers", Pipeline(number), numbers), ("categories", Pipeline(category), categories)], sparse_threshold=0
    )


def dumps(estimator: Any) -> bytes:
    """The estimator as skops keeps it. Raises DeclarationError when it holds types that `loads` would refuse."""
    import skops.io

    content = _stable(skops.io.dumps(estimator))
    if refused := _untrusted(content):
        raise DeclarationError(
            f"the estimator holds types that serving does not load: {', '.join(refused)}",
            expected="an estimator made of scikit-learn's own types",
            do="compose it of scikit-learn's estimators and transformers, and put your own code into features.py",
        )
    return content


def loads(content: bytes, name: str) -> Any:
    """The estimator that `dumps` kept. Raises BundleError naming the file when it holds types that are not trusted."""
    import skops.io

    if refused := _untrusted(content):
        raise BundleError(
            f"{name} holds types that are not trusted: {', '.join(refused)}",
            expected="an estimator made of scikit-learn's own types",
        )
    return skops.io.loads(content, trusted=sorted(TRUSTED))


def _untrusted(content: bytes) -> list[str]:
    import skops.io

    return sorted(set(skops.io.get_untrusted_types(data=content)) - TRUSTED)


def _stable(content: bytes) -> bytes:
    source = zipfile.ZipFile(io.BytesIO(content))
    schema = json.loads(source.read("schema.json"))
    ids: dict[int | str, int] = {}
    files: dict[str, str] = {}
    _rename(schema, ids, files)
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as target:
        for old, new in files.items():
            target.writestr(zipfile.ZipInfo(new, _EPOCH), source.read(old), zipfile.ZIP_DEFLATED)
        text = json.dumps(schema, separators=(",", ":"))
        target.writestr(zipfile.ZipInfo("schema.json", _EPOCH), text, zipfile.ZIP_DEFLATED)
    return result.getvalue()


def _rename(node: Any, ids: dict[int | str, int], files: dict[str, str]) -> None:
    if isinstance(node, list):
        for item in node:
            _rename(item, ids, files)
    elif isinstance(node, dict):
        if isinstance(node.get("__id__"), int):
            # Equal numbers and texts are one object or several, by where an estimator's parts were made.
            constant = node.get("__loader__") == "JsonNode"
            node["__id__"] = ids.setdefault(node["content"] if constant else node["__id__"], len(ids) + 1)
        if "__loader__" in node and isinstance(node.get("file"), str):
            suffix = node["file"].rpartition(".")[2]
            node["file"] = files.setdefault(node["file"], f"{len(files) + 1}.{suffix}")
        for item in node.values():
            _rename(item, ids, files)
