"""Runs in NannyML's environment: CBPE and DLE with their defaults on the cases of a folder; prints JSON.

Only NannyML and pandas are imported: this file is a script for another Python.
"""

import json
import sys
import time
from pathlib import Path


def main(folder: Path) -> None:
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import nannyml
    import pandas as pd

    found = {}
    for description in sorted(folder.glob("*.json")):
        case = json.loads(description.read_text())
        reference = pd.read_csv(description.with_suffix(".reference.csv"))
        live = pd.read_csv(description.with_suffix(".live.csv"))
        common = {"metrics": case["metrics"], "chunk_size": case["chunk"], "y_true": "truth"}
        if case["task"] == "classification":
            for frame in (reference, live):
                frame["decided"] = (frame["prediction"] >= 0.5).astype(int)
            estimator = nannyml.CBPE(
                problem_type="classification_binary", y_pred_proba="prediction", y_pred="decided", **common
            )
        else:
            estimator = nannyml.DLE(feature_column_names=case["features"], y_pred="prediction", **common)
        estimator.fit(reference)
        began = time.perf_counter()
        result = estimator.estimate(live.drop(columns=["truth"])).filter(period="analysis").to_df()
        seconds = time.perf_counter() - began
        values = {metric: [float(one) for one in result[(metric, "value")]] for metric in case["metrics"]}
        found[description.stem] = {"values": values, "seconds": seconds}
    print(json.dumps({"version": nannyml.__version__, "cases": found}))


main(Path(sys.argv[1]))
