"""The training rows as an estimator sees them: it is fitted to all, and before that parameters are tried on parts.

The rows are parted as the holdout is parted from them (`Layout`), and the holdout itself has no part in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loopwright.loop import Loop

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.models.choices import Choices
    from loopwright.models.features import FeatureSpec
    from loopwright.models.fit import Fitted
    from loopwright.models.layout import Layout
    from loopwright.models.scikit import Parallel
    from loopwright.models.search import Place
    from loopwright.steps.recording import Step


@dataclass(frozen=True)
class Prepared:
    """The training rows as an estimator sees them, and how it is fitted to them."""

    loop: Loop
    matrix: Any
    specs: "Sequence[FeatureSpec]"
    wanted: Any
    choices: "Choices"
    layout: "Layout"
    threads: int
    classes: Sequence[str]
    """Of a classification, in the order of their places."""
    parallel: "Parallel | None" = None
    """Who does what scikit-learn's estimators do in parallel, where it is not this process."""

    def fitted(self, parameters: Mapping[str, Any]) -> "Fitted":
        """The estimator fitted to all rows, with these parameters before the declared ones."""
        return self._fit(parameters, slice(None), self.layout, self.choices)

    def search(self, place: "Place | None") -> dict[str, Any]:
        """What a declared search found; nothing where none is declared."""
        declared = self.loop.model.search
        if declared is None:
            return {}
        from loopwright.models.search import search

        def judge(parameters: dict[str, Any], part: Any) -> float:
            return self._measured(self._fitted(parameters, ~part), part)

        folds = self.layout.folds(declared.folds)
        self._check(folds)
        return search(declared, self.loop.searched_by, self.loop.model.seed, folds, judge, place)

    def _check(self, folds: Any) -> None:
        """Raise DataError for parts that no set of parameters can be tried on, whatever it is.

        Each part is left out in turn: the rest needs rows of every class, and the part those that the metric looks at.
        """
        from loopwright.errors import DataError

        if self.loop.model.task != "classification":
            return
        count, label, do = int(folds.max()) + 1, self.loop.data.label.column, "declare fewer model.search.folds"
        for fold in range(count):
            part = folds == fold
            if only := self._absent(~part):
                raise DataError(
                    f"the label {label} is {only} in part {fold + 1} of {count} of the training rows alone",
                    expected="rows of each class in several parts, which a search leaves out in turn", do=do,
                )  # fmt: skip
            if (never := self._absent(part)) and not (part.any() and self._defined(part)):
                raise DataError(
                    f"in part {fold + 1} of {count} of the training rows the label {label} is never {never}",
                    expected=f"rows of each class, without which {self.loop.searched_by} is not defined",
                    do=f"{do}, or another model.search.metric",
                )  # fmt: skip

    def _defined(self, rows: Any) -> bool:
        """Whether the metric is a number on these rows, as that of predictions which know nothing is."""
        import numpy as np

        blind = np.full(len(self.classes), 1 / len(self.classes)) if self.loop.several else np.array(1.0)
        predicted = np.broadcast_to(blind, (int(rows.sum()), *blind.shape))
        return bool(np.isfinite(self._metric(rows, predicted)))

    def _absent(self, rows: Any) -> str:
        """The first class that none of the rows, a mask, is of."""
        there = set(self.wanted[rows].astype(int).tolist())
        return next((name for place, name in enumerate(self.classes) if place not in there), "")

    def learning_curve(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The learning curve with the parameters that the model is trained with."""
        from loopwright.models.learning import FOLDS, curve

        def judge(training: Any, part: Any) -> tuple[float, float]:
            fitted = self._fitted(parameters, training)
            return self._measured(fitted, part), self._measured(fitted, training)

        return curve(self.loop.searched_by, self.layout.folds(FOLDS), self.loop.model.seed, judge)

    def _fitted(self, parameters: Mapping[str, Any], rows: Any) -> "Fitted":
        """The estimator fitted to some of the rows, a mask; a calibration would make it six times as slow."""
        return self._fit(parameters, rows, self.layout.of(rows), self.choices.without_calibration())

    def _fit(self, parameters: Mapping[str, Any], rows: Any, layout: "Layout", choices: "Choices") -> "Fitted":
        from loopwright.models import fit

        model = self.loop.model
        return fit.fit(
            model.task, model.estimator, {**model.parameters, **parameters}, model.seed, self.matrix[rows],
            self.specs, self.wanted[rows], threads=self.threads, monotone=self.loop.gates.monotone,
            choices=choices, layout=layout, parallel=self.parallel,
        )  # fmt: skip

    def _measured(self, fitted: "Fitted", rows: Any) -> float:
        return self._metric(rows, fitted.predict(self.matrix[rows]))

    def _metric(self, rows: Any, predicted: Any) -> float:
        from loopwright.statistics.several import weigh
        from loopwright.steps.evidence import measures_of

        return weigh(measures_of(self.loop), self.wanted[rows], predicted).point()[self.loop.searched_by]


def searched_in(step: "Step") -> "Place | None":
    """Where the trials of a step under way are kept: in the run's folder, and each as a run of MLflow's."""
    if step.loop.model.search is None:
        return None
    from loopwright.models.search import Place
    from loopwright.registry import Registry
    from loopwright.steps.trials import Progress, Trials

    trials = Trials(Registry(step.settings), step.loop.name, step.run)
    progress = Progress(step.loop.model.search.trials, step.loop.searched_by, step.going)

    def told(number: int, parameters: Mapping[str, Any], value: float | None, state: str, seconds: float) -> None:
        progress(number, value, state)
        trials(number, parameters, value, state, seconds)

    return Place(step.settings.runs / step.run / "search.journal", told)


def layout_of(loop: Loop, rows: "pd.DataFrame") -> "Layout":
    """By what the training rows are parted: as the holdout is."""
    from loopwright.models.layout import Layout

    by, data = loop.data.holdout.by, loop.data
    entities = None if data.entity is None else rows[data.entity].astype(str).to_numpy()
    times = rows[data.timestamp].to_numpy() if by == "time" and data.timestamp is not None else None
    return Layout(len(rows), loop.model.seed, entities, times)
