"""What the model sees of a flat: the same code in training and in serving."""

import numpy as np


def features(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Take the raw columns, each (n,), and return what the model sees, each (n,). A pure function of each row."""
    return {**columns, "area_per_room": columns["area"] / np.maximum(columns["rooms"], 1.0)}
