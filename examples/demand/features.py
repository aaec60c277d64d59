"""What the model sees of an item on a day: the raw columns and a few combinations, the same in training and serving."""

import numpy as np


def features(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Take the raw columns, each (n,), and return what the model sees, each (n,). A pure function of each row."""
    angle = 2 * np.pi * columns["day_of_year"] / 365.25
    recent, month = columns["units_7d"], columns["units_28d"]
    return {
        **columns,
        "discount": 1.0 - columns["price"] / np.maximum(columns["list_price"], 0.01),
        # A level that is changing: after a shock the last week says more than the last month.
        "momentum": recent / np.maximum(month, 0.1),
        "year_sin": np.sin(angle),
        "year_cos": np.cos(angle),
    }
