"""Training and evaluation in one plain script, as one would write it: `python plain.py ROWS.csv [MLFLOW_URI]`.

The same rows, the same share held out, the same LightGBM with its defaults, and the metrics that Loopwright reports;
the model is written to a file. With a URI it is logged and registered in MLflow, as its documentation does it.
"""

import sys

import lightgbm
import pandas as pd
from sklearn import metrics
from sklearn.model_selection import train_test_split

rows = pd.read_csv(sys.argv[1])
target = (rows.pop("churned") == "Yes").astype(int)
rows = rows.drop(columns="customer")
for name in rows.select_dtypes(["object", "string"]):
    rows[name] = rows[name].astype("category")
training, holdout, known, truth = train_test_split(rows, target, test_size=0.2, random_state=7)
model = lightgbm.LGBMClassifier(random_state=7, n_jobs=1, verbose=-1)
model.fit(training, known)
score = model.predict_proba(holdout)[:, 1]
decision = score > 0.5
found = {
    "roc_auc": metrics.roc_auc_score(truth, score),
    "average_precision": metrics.average_precision_score(truth, score),
    "accuracy": metrics.accuracy_score(truth, decision),
    "f1": metrics.f1_score(truth, decision),
    "precision": metrics.precision_score(truth, decision),
    "recall": metrics.recall_score(truth, decision),
    "log_loss": metrics.log_loss(truth, score),
    "brier": metrics.brier_score_loss(truth, score),
}
if len(sys.argv) == 2:
    model.booster_.save_model("plain.txt")
else:
    import mlflow

    mlflow.set_tracking_uri(sys.argv[2])
    mlflow.set_experiment("churn")
    with mlflow.start_run():
        mlflow.log_metrics(found)
        mlflow.lightgbm.log_model(model, name="model", input_example=training.head(2), registered_model_name="churn")
print(found)
