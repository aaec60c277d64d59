"""A BentoML service of a LightGBM model, as its documentation has a service of NumPy arrays.

https://docs.bentoml.com/en/latest/build-with-bentoml/iotypes.html
"""

import os

import bentoml
import lightgbm
import numpy as np


@bentoml.service(workers=1)
class Bench:
    """Predicts rows of numbers."""

    def __init__(self) -> None:
        self._booster = lightgbm.Booster(model_file=os.environ["BENCH_MODEL"])

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The rows' predictions."""
        return self._booster.predict(rows, num_threads=1)
