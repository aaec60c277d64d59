"""What the model sees of a payment: the raw columns and a few combinations, the same in training and in serving."""

import numpy as np


def features(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Take the raw columns, each (n,), and return what the model sees, each (n,). A pure function of each row."""
    hour = columns["hour"]
    return {
        **columns,
        # A payment is large by what its card is used to.
        "relative_amount": np.log(np.maximum(columns["amount"], 0.01) / np.maximum(columns["usual_amount"], 0.01)),
        "night": ((hour < 6) | (hour >= 23)).astype(np.float64),
        "young_card": (columns["card_age_days"] < 90).astype(np.float64),
    }
