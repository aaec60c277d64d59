"""`python peers.py evidently|nannyml ROUNDS`: CPU seconds of a drift evaluation of 20 columns, 10,000 rows a side."""

import json
import sys
import time

import numpy as np
import pandas as pd


def frame(seed):
    rng = np.random.default_rng(seed)
    numbers = {f"n{at:02}": rng.normal(size=10_000) for at in range(16)}
    return pd.DataFrame(numbers | {f"c{at}": rng.choice(list("abcde"), 10_000) for at in range(4)})


def evidently(reference, current):
    """Its drift preset, with its defaults."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    return lambda: Report([DataDriftPreset()]).run(current, reference)


def nannyml(reference, current):
    """Its univariate drift with its default methods, fitted before the clock starts, on one chunk."""
    from nannyml import UnivariateDriftCalculator

    found = UnivariateDriftCalculator(column_names=list(reference), chunk_size=len(current)).fit(reference)
    return lambda: found.calculate(current)


if __name__ == "__main__":
    run = {"evidently": evidently, "nannyml": nannyml}[sys.argv[1]](frame(1), frame(2))
    run()
    seconds = []
    for _ in range(int(sys.argv[2])):
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    print(json.dumps(seconds))
