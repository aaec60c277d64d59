"""Training: a matrix and a target to a fitted estimator, repeatable bit for bit for one seed.

Estimators see the encoded float64 matrix and nothing else. LightGBM takes missing values and category codes as they
are; scikit-learn's get imputation, scaling and one-hot columns in one pipeline that is saved with them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loopwright.errors import DataError, DeclarationError
from loopwright.loop import Scalar
from loopwright.models import calibration, scikit
from loopwright.models.booster import batch_score
from loopwright.models.bundle import CALIBRATION, LIGHTGBM, SKOPS
from loopwright.models.calibration import Calibration, OneAgainstRest
from loopwright.models.choices import NONE, Choices
from loopwright.models.columns import Array
from loopwright.models.course import course_of, untrainable
from loopwright.models.features import FeatureSpec
from loopwright.models.layout import Layout, require_classes
from loopwright.models.model import sklearn_score

FOLDS = 5
"""Parts of the training rows that are left out in turn, for a calibration of predictions of unseen rows."""
MOST_TREES = 2000
"""What early stopping chooses up to, where `num_iterations` does not say."""


@dataclass(frozen=True)
class Fitted:
    """A fitted estimator: what it predicts, and the file of the bundle it is kept in."""

    task: str
    estimator: Any
    classes: int = 2
    calibration: Calibration | OneAgainstRest | None = None
    trees: int | None = None
    """How many trees early stopping chose."""

    def predict(self, matrix: Array) -> Array:
        """P(positive class) or the value of each row of the matrix, (n,); of more classes each's, (n, classes)."""
        return self.score(matrix) if self.calibration is None else self.calibration(self.score(matrix))

    def score(self, matrix: Array) -> Array:
        """`predict` before the calibration."""
        lightgbm = hasattr(self.estimator, "model_to_string")
        score = batch_score(self.estimator) if lightgbm else sklearn_score(self.estimator, self.task, self.classes)
        return score(matrix)

    def dump(self) -> dict[str, bytes]:
        """The files to keep it in, by name. Raises DeclarationError for an estimator that serving would not load."""
        found = {} if self.calibration is None else {CALIBRATION: self.calibration.to_json().encode()}
        if hasattr(self.estimator, "model_to_string"):
            # The number of threads does not change the model, so it must not change the file either.
            text = re.sub(r"\[num_threads: \d+\]", "[num_threads: 1]", self.estimator.model_to_string())
            return {LIGHTGBM: text.encode(), **found}
        return {**found, SKOPS: scikit.dumps(self.estimator)}


def fit(
    task: str,
    estimator: str,
    parameters: Mapping[str, Scalar],
    seed: int,
    matrix: Array,
    specs: Sequence[FeatureSpec],
    target: Array,
    *,
    threads: int = 1,
    monotone: Mapping[str, str] | None = None,
    choices: Choices = NONE,
    layout: Layout | None = None,
    parallel: scikit.Parallel | None = None,
) -> Fitted:
    """Train on a float64 matrix (n, features) and a target (n,): 0 and 1, or 0 to `choices.classes` - 1, or the values.

    `monotone` names features with which the prediction rises (`increasing`) or falls; LightGBM is trained to it.

    Raises DataError when the target cannot be learnt from, DeclarationError for a parameter or an estimator that
    cannot be used. `choices` are objective, weights, early stopping and calibration; `layout` is by what rows are
    parted for the latter two. `parallel` has other processes do what scikit-learn's estimators do with joblib.
    """
    target = np.asarray(target, dtype=np.float64)
    check_target(task, target, choices.classes)
    choices.check(target)
    layout = layout or Layout(len(target), seed)

    def train(rows: Array) -> tuple[Any, int | None]:
        weights = choices.weights(target[rows])
        if estimator == "lightgbm":
            part = layout.of(rows)
            return _lightgbm(
                task,
                parameters,
                seed,
                matrix[rows],
                specs,
                target[rows],
                threads,
                monotone or {},
                choices,
                part,
                weights,
            )
        own = choices.for_scikit(estimator, parameters)
        return (
            scikit.fit(task, estimator, own, seed, matrix[rows], specs, target[rows], threads, weights, parallel),
            None,
        )

    final, trees = train(np.ones(len(target), dtype=bool))
    if choices.calibration is None:
        return Fitted(task, final, choices.classes, None, trees)
    several = choices.classes > 2
    left_out, parts = np.empty((len(target), choices.classes) if several else len(target)), layout.folds(FOLDS)
    # Fewer entities than parts leave some without a row.
    for fold in np.unique(parts):
        if len(np.unique(target[parts != fold])) < choices.classes:
            raise DataError(
                f"without one of {FOLDS} parts the training rows have not {'all' if several else 'both'} classes",
                expected="rows of each class in several parts, which a calibration leaves out in turn",
                do="provide more rows, or leave out model.calibration",
            )
        left_out[parts == fold] = Fitted(task, train(parts != fold)[0], choices.classes).predict(matrix[parts == fold])
    return Fitted(task, final, choices.classes, calibration.fit(choices.calibration, left_out, target), trees)


def check_target(task: str, target: Array, classes: int) -> None:
    """Raise DataError for a target (n,) that cannot be learnt from."""
    if not len(target):
        raise DataError("there are no rows to train on", do="check the data and the contract's filters")
    if not np.isfinite(target).all():
        raise DataError("the label has missing or infinite values", expected="a value in every training row")
    values = np.unique(target)
    if task == "classification" and values.tolist() != [float(place) for place in range(classes)]:
        raise DataError(
            f"the training rows have {len(values)} class{'' if len(values) == 1 else 'es'} of the label",
            expected="rows of both classes" if classes == 2 else f"rows of all {classes} classes",
        )


def _lightgbm(
    task: str,
    parameters: Mapping[str, Scalar],
    seed: int,
    matrix: Array,
    specs: Sequence[FeatureSpec],
    target: Array,
    threads: int,
    monotone: Mapping[str, str],
    choices: Choices,
    layout: Layout,
    weights: Array | None,
) -> tuple[Any, int | None]:
    import lightgbm

    course = course_of(task, parameters, seed, specs, len(target), threads, monotone, choices)
    every, rounds, own = course.parameters, course.rounds, course.own

    def dataset(rows: Any) -> Any:
        weight = None if weights is None else weights[rows]
        return lightgbm.Dataset(
            matrix[rows], target[rows], weight=weight, categorical_feature=list(course.categories), params=every,
            free_raw_data=True,
        )  # fmt: skip

    try:
        trees = None
        if choices.early_stopping is not None:
            if own.get("boosting") == "dart":
                raise DeclarationError(
                    "early stopping cannot choose the trees of `boosting: dart`: each new one changes those before it",
                    do="leave out model.early_stopping, or choose another boosting",
                )
            told = layout.part(choices.early_stopping.share)
            if task == "classification":
                require_classes(target, told, choices.classes)
            stop = lightgbm.early_stopping(choices.early_stopping.rounds, verbose=False)
            most = rounds if "num_iterations" in own else MOST_TREES
            first = lightgbm.train(every, dataset(~told), int(most), valid_sets=[dataset(told)], callbacks=[stop])
            rounds = trees = max(first.best_iteration, 1)
        return lightgbm.train(every, dataset(slice(None)), num_boost_round=int(rounds)), trees
    except (lightgbm.basic.LightGBMError, ValueError, TypeError) as error:
        raise untrainable(error) from error
