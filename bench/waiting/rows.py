"""Customers that leave or stay: rows of ten inputs, numbers and categories, with values missing."""

from pathlib import Path

import numpy as np
import pandas as pd


def write(path: Path, rows: int, seed: int = 7) -> None:
    """Write so many rows as CSV."""
    random = np.random.default_rng(seed)
    tenure, charge = random.integers(0, 72, rows), random.gamma(4, 16, rows).round(2)
    contract = random.choice(["monthly", "annual", "two years"], rows, p=[0.55, 0.25, 0.2])
    calls = random.poisson(1.2, rows)
    score = -0.6 - 0.06 * tenure + 0.016 * charge + 1.0 * calls - 2.4 * (contract != "monthly")
    frame = pd.DataFrame(
        {
            "customer": [f"c{number:06}" for number in range(rows)],
            "tenure": tenure,
            "charge": charge,
            "calls": calls,
            "usage": np.where(random.random(rows) < 0.05, np.nan, random.normal(size=rows).round(4)),
            "seats": random.integers(1, 40, rows),
            "contract": contract,
            "plan": random.choice(["basic", "premium", "enterprise"], rows),
            "region": random.choice(["emea", "amer", "apac", "latam"], rows),
            "payment": random.choice(["card", "transfer", "invoice"], rows),
            "paperless": random.choice(["No", "Yes"], rows),
            "churned": np.where(random.random(rows) < 1 / (1 + np.exp(-score)), "Yes", "No"),
        }
    )
    frame.to_csv(path, index=False)
