"""Models, their held-out rows, and live traffic in chunks whose labels are known here and to no estimator.

Five features and a LightGBM model of 60 trees. `moved`: one feature's mean moves by one standard deviation, and what
the model predicts with it. `harder`: more of the rows whose outcome is nearly a coin's, which two features decide.
`concept`: the features stay and the outcome depends on one of them otherwise, which no estimator without labels sees.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

FEATURES = [f"x{number}" for number in range(5)]
SCENARIOS = ("calm", "moved", "harder", "concept")


@dataclass(frozen=True)
class Case:
    """What estimators are given: rows with features, `prediction` and `truth`; live rows come with `chunk` too."""

    task: str
    reference: pd.DataFrame
    live: pd.DataFrame


def case(task: str, scenario: str, seed: int, *, rows: int, chunks: int, chunk: int) -> Case:
    """A model trained on rows without drift, its held-out rows, and `chunks` chunks of live ones."""
    import lightgbm

    rng = np.random.default_rng(seed)
    training = _rows(task, "calm", rows, rng)
    kind = lightgbm.LGBMClassifier if task == "classification" else lightgbm.LGBMRegressor
    model = kind(n_estimators=60, num_leaves=15, min_child_samples=50, verbose=-1, n_jobs=1, random_state=seed)
    model.fit(training[FEATURES], training["truth"])
    parts = [_rows(task, "calm", rows, rng), _rows(task, scenario, chunks * chunk, rng)]
    for part in parts:
        inputs = part[FEATURES]
        part["prediction"] = model.predict_proba(inputs)[:, 1] if task == "classification" else model.predict(inputs)
    parts[1]["chunk"] = np.repeat(np.arange(chunks), chunk)
    return Case(task, *parts)


def _rows(task: str, scenario: str, n: int, rng: np.random.Generator) -> pd.DataFrame:
    x = rng.normal(size=(n, len(FEATURES)))
    if scenario == "moved":
        x[:, 0] += 1.0
    if scenario == "harder":
        x[:, :2] *= 0.4
        x[:, 4] += 1.0
    sign = -1.0 if scenario == "concept" else 1.0
    signal = 1.6 * x[:, 0] + 1.2 * sign * x[:, 1] + 0.6 * x[:, 2] * x[:, 3]
    if task == "classification":
        truth = (rng.random(n) < 1 / (1 + np.exp(-signal))).astype(float)
    else:
        # The spread of the outcome depends on a feature that does not move the prediction.
        truth = 10 + signal + rng.normal(size=n) * np.exp(0.5 * x[:, 4])
    return pd.DataFrame(x, columns=FEATURES).assign(truth=truth)
