"""One model in both forms, a bundle of ours and MLflow's, and the Parquet file whose rows both score."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS, CATEGORIES, TREES, LEAVES, TRAINING_ROWS = 16, 4, 100, 31, 20_000
NAMES = [f"n{at:02}" for at in range(NUMBERS)]
TEXTS = [f"c{at}" for at in range(CATEGORIES)]
VALUES = [f"value {at}" for at in range(8)]
ROW_GROUP = 125_000


@dataclass(frozen=True)
class Made:
    """Where they are."""

    folder: Path
    digest: str

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def mlflow(self) -> Path:
        return self.folder / "mlflow"

    @property
    def declared(self) -> Path:
        return self.folder / "loop.yaml"

    def rows(self, count: int) -> Path:
        """The file with so many rows."""
        return self.folder / f"rows-{count}.parquet"


def made(folder: Path) -> Made:
    """What was made in a folder before."""
    return Made(folder, (folder / "digest").read_text())


def make(folder: Path, rows: int) -> Made:
    """Train the model and draw the rows, unless the folder has them. The seeds are fixed."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "digest").exists():
        (folder / "digest").write_text(_train(folder))
    found = made(folder)
    if not found.rows(rows).exists():
        _write(found.rows(rows), rows)
    return found


def frame(rows: int, seed: int) -> Any:
    """Rows of numbers, one in fifty missing, and categories."""
    import pandas as pd

    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {"customer": np.char.add("c", random.integers(0, 10**9, rows).astype(str))}
    for name in NAMES:
        values = random.normal(size=rows).round(4)
        values[random.random(rows) < 0.02] = np.nan
        columns[name] = values
    for name in TEXTS:
        columns[name] = np.array(VALUES, dtype=object)[random.integers(0, len(VALUES), rows)]
    return pd.DataFrame(columns)


def typed(rows: Any) -> Any:
    """The features as LightGBM's scikit-learn interface takes them: pandas' categories, with the training's values."""
    import pandas as pd

    return rows[[*NAMES, *TEXTS]].astype(dict.fromkeys(TEXTS, pd.CategoricalDtype(VALUES)))


def _train(folder: Path) -> str:
    import mlflow
    from lightgbm import LGBMClassifier

    from loopwright import declaration
    from loopwright.models import bundle, features
    from loopwright.models.columns import from_frame, specs
    from loopwright.statistics.profile import Profile

    (folder / "loop.yaml").write_text(_declaration())
    loop = declaration.parse(_declaration())
    rows = frame(TRAINING_ROWS, 7)
    seen = typed(rows)
    codes = np.column_stack([np.nan_to_num(seen[NAMES]), *(seen[name].cat.codes for name in TEXTS)])
    random = np.random.default_rng(8)
    score = codes @ random.normal(size=codes.shape[1]) + codes[:, 0] * codes[:, 1]
    label = (score + random.normal(size=len(rows)) > np.median(score)).astype(int)
    model = LGBMClassifier(n_estimators=TREES, num_leaves=LEAVES, random_state=7, n_jobs=1, verbosity=-1)
    model.fit(seen, label)
    mlflow.lightgbm.save_model(model.booster_, folder / "mlflow")
    # The same trees, which see the categories' codes: both sort the values.
    inputs = specs(loop.inputs)
    raw = from_frame(inputs, rows[[*NAMES, *TEXTS]])
    learnt = features.fit_spec(raw)
    text = model.booster_.model_to_string()
    predicted = model.predict_proba(seen)[:, 1]
    kinds = {spec.name: spec.kind for spec in inputs}
    profile = Profile.build("bench", "classification", ("0", "1"), raw, kinds, predicted)
    manifest = bundle.Manifest(
        loop="bench", task="classification", estimator="lightgbm", classes=("0", "1"), inputs=inputs, features=learnt
    )
    content = {bundle.LIGHTGBM: text.encode(), bundle.PROFILE: profile.to_json().encode()}
    return bundle.write(folder / "bundle", manifest, content)


def _declaration() -> str:
    columns = [f"    {name}: {{type: number, min: -10, max: 10, missing: 0.1}}" for name in NAMES]
    columns += [f"    {name}: {{values: [{', '.join(VALUES)}]}}" for name in TEXTS]
    return "\n".join(
        [
            "apiVersion: loopwright/v1", "kind: Loop", "metadata: {name: bench}", "data:", "  source: rows.parquet",
            "  entity: customer", "  label: {column: y}", "  contract:", *columns, "model: {task: classification}", "",
        ]
    )  # fmt: skip


def _write(path: Path, rows: int) -> None:
    """The rows in groups that fit into memory, each drawn from its own seed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for number in range(-(-rows // ROW_GROUP)):
        count = min(ROW_GROUP, rows - number * ROW_GROUP)
        table = pa.Table.from_pandas(frame(count, 100 + number), preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()
