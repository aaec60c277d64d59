"""Ours: from the profile and counts of predictions in bins, as the monitor does it, and from rows, as a job does."""

import numpy as np
import pandas as pd
from bench.estimates.traffic import FEATURES, Case

from loopwright.models.losses import Losses
from loopwright.statistics import metrics
from loopwright.statistics.labelled import tally
from loopwright.statistics.profile import Profile

METRICS = {"classification": ("roc_auc", "f1"), "regression": ("rmse", "mae")}


def estimate(case: Case) -> dict[str, list[float]]:
    """The estimate of each metric a chunk; NaN where there is none."""
    truth, predicted = (case.reference[name].to_numpy(dtype=float) for name in ("truth", "prediction"))
    variance = float(np.var(truth)) if case.task == "regression" else None
    one = tally(Profile.build("bench", case.task, [0, 1], {}, {}, predicted, label_variance=variance))
    reference = one.of(truth, predicted)
    found: dict[str, list[float]] = {name: [] for name in METRICS[case.task]}
    for _, chunk in case.live.groupby("chunk"):
        estimated = one.estimate(reference, one.scored(chunk["prediction"].to_numpy(dtype=float)))
        for name, values in found.items():
            values.append(estimated[name].value if name in estimated else float("nan"))
    return found


def by_losses(case: Case) -> dict[str, list[float]]:
    """The estimate of a regression by the models of error that training leaves, from rows (`loopwright estimate`)."""
    known = [case.reference[name].to_numpy(dtype=float) for name in ("prediction", "truth")]
    models = Losses.fit(_matrix(case.reference), *known, seed=7)
    assert models is not None, "there are rows enough"
    chunks = [
        models.estimate(_matrix(chunk), chunk["prediction"].to_numpy(dtype=float))
        for _, chunk in case.live.groupby("chunk")
    ]
    return {name: [one[name][0] for one in chunks] for name in METRICS[case.task]}


def _matrix(rows: pd.DataFrame) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    return rows[FEATURES].to_numpy(dtype=float)


def realised(case: Case) -> dict[str, list[float]]:
    """What the labels say, by scikit-learn."""
    return {
        name: [_one(case.task, name, chunk) for _, chunk in case.live.groupby("chunk")] for name in METRICS[case.task]
    }


def unchanged(case: Case) -> dict[str, list[float]]:
    """The metrics of the held-out rows for every chunk: what one believes without any estimate."""
    chunks = case.live["chunk"].nunique()
    return {name: [_one(case.task, name, case.reference)] * chunks for name in METRICS[case.task]}


def _one(task: str, name: str, rows: "object") -> float:
    truth = rows["truth"].to_numpy(dtype=float)  # type: ignore[index]
    wanted = truth > 0.5 if task == "classification" else truth
    return metrics.one(task, name, wanted, rows["prediction"].to_numpy(dtype=float))  # type: ignore[index]
