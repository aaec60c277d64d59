"""What the model sees of a customer: the raw columns and a few combinations, the same in training and in serving."""

import numpy as np


def features(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Take the raw columns, each (n,), and return what the model sees, each (n,). A pure function of each row.

    Numbers are float64 with NaN for missing, categories are object arrays of str with None for missing.
    """
    tenure, charges, seats = columns["tenure_months"], columns["monthly_charges"], columns["seats"]
    logins, tickets = columns["logins_30d"], columns["support_tickets_90d"]
    monthly = (columns["contract"] == "monthly").astype(np.float64)
    return {
        **columns,
        # A customer that may leave any month is the one that compares prices, so the model gets the two together.
        "charges_if_monthly": np.where(monthly == 1.0, charges, 0.0),
        "new_and_monthly": monthly * (tenure < 6),
        "charges_per_seat": charges / np.maximum(seats, 1.0),
        "tickets_per_login": tickets / (1.0 + logins),
        "delays_without_autopay": columns["payment_delays"] * (1.0 - columns["autopay"]),
    }
