"""A search for parameters with Optuna, the same for one seed and one `parallel`.

    ask some sets -> judge each fold by fold, in threads -> tell them in order -> ask again

Optuna's sampler is seeded anew for each batch by the number of sets that are known, and a batch is told in the order in
which it was asked, so that threads do not change what is found. The trials are kept in Optuna's journal, a file that is
only appended to; a set that was under way when the process died is tried again. With one set at a time a kill changes
nothing; with several, the batch that is asked for again may be another one.
"""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loopwright.errors import DeclarationError
from loopwright.loop import LOWER_IS_BETTER, Search, Space
from loopwright.models.columns import Array

log = logging.getLogger(__name__)

Judge = Callable[[dict[str, Any], Array], float]
"""Fits with these parameters without the rows of a mask, and gives the metric on them."""
Told = Callable[[int, Mapping[str, Any], float | None, str, float], None]
"""Is told of a trial: its number, parameters, value, state and seconds."""

LIGHTGBM = {
    "num_iterations": Space(low=50, high=800, log=True),
    "learning_rate": Space(low=0.01, high=0.2, log=True),
    "num_leaves": Space(low=4, high=64, log=True),
    "min_data_in_leaf": Space(low=5, high=100, log=True),
    "feature_fraction": Space(low=0.3, high=1.0),
    "lambda_l2": Space(low=0.001, high=30.0, log=True),
}
"""What is searched of LightGBM where no space is declared."""
STARTUP = 10
"""Sets that are drawn at random before the sampler learns from them, and before any is pruned: Optuna's default."""


@dataclass(frozen=True)
class Place:
    """Where trials are kept, and who else is told of each."""

    journal: Path
    told: Told | None = None


def search(declared: Search, metric: str, seed: int, folds: Array, judge: Judge, place: Place | None) -> dict[str, Any]:
    """The best parameters, their value, and how many sets were tried, pruned and failed.

    `folds` is each row's part. Raises DeclarationError when every set failed.
    """
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = "minimize" if metric in LOWER_IS_BETTER else "maximize"
    pruner = optuna.pruners.MedianPruner(STARTUP) if declared.pruning else optuna.pruners.NopPruner()
    study = optuna.create_study(
        storage=_storage(place), study_name="search", direction=direction, pruner=pruner, load_if_exists=True
    )
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        # The process that tried it is gone.
        study.tell(trial.number, state=TrialState.FAIL)
    began, failed = time.monotonic(), ""
    while (done := _done(study)) < declared.trials:
        if declared.timeout is not None and done and time.monotonic() - began > declared.timeout.total_seconds():
            break
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed + done, multivariate=True)
        asked = [_ask(study, declared) for _ in range(min(declared.parallel, declared.trials - done))]
        with ThreadPoolExecutor(len(asked)) as pool:
            outcomes = list(pool.map(lambda one: _try(one[0], one[1], folds, judge), asked))
        for (trial, parameters), (value, state, why, seconds) in zip(asked, outcomes, strict=True):
            if why:
                trial.set_user_attr("error", why)
            study.tell(trial, value if state == "complete" else None, state=TrialState[_STATES[state]])
            failed = why or failed
            done = _done(study)
            log.info("trial %d of %d, %s: %s %s", done, declared.trials, state, metric, value)
            if place is not None and place.told is not None:
                place.told(done, parameters, value, state, seconds)
    return _result(study, metric, declared, failed)


_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}


def _storage(place: Place | None) -> Any:
    import optuna

    if place is None:
        return optuna.storages.InMemoryStorage()
    place.journal.parent.mkdir(parents=True, exist_ok=True)
    backend = optuna.storages.journal.JournalFileBackend(str(place.journal))
    return optuna.storages.JournalStorage(backend)


def _done(study: Any) -> int:
    """The sets that need not be tried again: judged, given up, or wrong in themselves."""
    names = [(trial.state.name, trial.user_attrs) for trial in study.get_trials(deepcopy=False)]
    return sum(state in ("COMPLETE", "PRUNED") or "error" in attributes for state, attributes in names)


def _ask(study: Any, declared: Search) -> tuple[Any, dict[str, Any]]:
    trial = study.ask()
    return trial, {name: _suggest(trial, name, space) for name, space in (declared.space or LIGHTGBM).items()}


def _suggest(trial: Any, name: str, space: Space) -> Any:
    if space.choices is not None:
        return trial.suggest_categorical(name, list(space.choices))
    if isinstance(space.low, int) and isinstance(space.high, int):
        return trial.suggest_int(name, space.low, space.high, log=space.log)
    return trial.suggest_float(name, space.low, space.high, log=space.log)


def _try(trial: Any, parameters: dict[str, Any], folds: Array, judge: Judge) -> tuple[float | None, str, str, float]:
    """The mean over the folds, the state, what was wrong, and the seconds it took."""
    began, found = time.monotonic(), []
    for fold in range(int(folds.max()) + 1):
        try:
            value = judge(parameters, folds == fold)
        except DeclarationError as error:
            return None, "failed", str(error), time.monotonic() - began
        if not np.isfinite(value):
            return None, "failed", f"the metric is {value} on fold {fold}", time.monotonic() - began
        found.append(value)
        trial.report(float(np.mean(found)), fold)
        if fold < int(folds.max()) and trial.should_prune():
            return None, "pruned", "", time.monotonic() - began
    return float(np.mean(found)), "complete", "", time.monotonic() - began


def _result(study: Any, metric: str, declared: Search, failed: str) -> dict[str, Any]:
    states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
    if "COMPLETE" not in states:
        raise DeclarationError(
            f"none of the {_done(study)} sets of parameters could be tried: {failed}",
            do="correct model.search.space in loop.yaml",
        )
    counts = {state: states.count(name) for state, name in _STATES.items()}
    return {
        "metric": metric, "value": float(study.best_value), "parameters": dict(study.best_params),
        "trials": declared.trials, **counts,
    }  # fmt: skip
