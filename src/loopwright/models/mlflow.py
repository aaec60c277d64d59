"""MLflow's way in: `mlflow.pyfunc.load_model` on a logged bundle, with this module as its loader.

Logged with `loader_module="loopwright.models.mlflow"` and the bundle's folder as `data_path`, MLflow calls
`_load_pyfunc` and needs nothing of its own pickled.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.models import columns, model

if TYPE_CHECKING:
    import pandas as pd


class PyFunc:
    """What MLflow predicts with: a data frame of raw columns in, the model's number a row out."""

    def __init__(self, loaded: model.Model) -> None:
        self.model = loaded

    def predict(self, model_input: "pd.DataFrame", params: dict[str, Any] | None = None) -> columns.Array:
        """P(positive class) or the value of each row, float64 (n,). Raises InputError for a wrong column."""
        return self.model.predict(columns.from_frame(self.model.inputs, model_input, self.model.ignored))


def _load_pyfunc(path: str) -> PyFunc:
    """Called by MLflow with the bundle's folder. Raises BundleError."""
    return PyFunc(model.load(Path(path)))
