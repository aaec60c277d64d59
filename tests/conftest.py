"""What all tests share: a small data set, a loop made of it, and the real data where it is at hand."""

import os
from pathlib import Path

# Tests run one a core: threads of LightGBM and scikit-learn that wait for a busy core cost many times their work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import pytest

from loopwright import declaration
from loopwright.loop import Loop

ROOT = Path(__file__).parent.parent

DECLARATION = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: small}
data:
  source: rows.csv
  entity: customer
  timestamp: seen
  label: {column: left}
  holdout: {share: 0.25, by: entity}
  contract:
    age: {type: integer, min: 18, max: 90}
    spend: {type: number, min: 0, missing: 0.1}
    plan: {values: [basic, premium]}
model: {task: classification, parameters: {num_iterations: 20}}
gates:
  minimum: {roc_auc: 0.6}
  champion: {roc_auc: {no_worse_by: 0.05, confidence: 0.9}}
"""

CHURN = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: churn}
data:
  source: churn.csv
  label: {column: churned}
  contract:
    churned: {values: ["No", "Yes"]}
    age: {type: number}
    plan: {values: [basic, premium]}
model: {task: classification}
"""


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data sets, which are not part of the project."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "churn.csv").exists():
        pytest.skip("the real data sets are not at hand: ../shared/data/churn.csv")
    return folder


@pytest.fixture(scope="session")
def small_declaration() -> str:
    """The small loop's loop.yaml."""
    return DECLARATION


@pytest.fixture(scope="session")
def churn_declaration() -> str:
    """A loop of one number and one category, with every section that can be left out left out."""
    return CHURN


@pytest.fixture
def small() -> Loop:
    """A small declared loop."""
    return declaration.parse(DECLARATION)


@pytest.fixture(scope="session")
def small_rows() -> pd.DataFrame:
    """800 rows that the small loop's contract accepts, with a label that can be learnt, as a CSV reader gives them."""
    random = np.random.default_rng(3)
    age, plan = random.integers(18, 90, 800), random.choice(["basic", "premium"], 800)
    spend = random.gamma(2, 20, 800).round(2)
    risk = 1 / (1 + np.exp(-(0.05 * (age - 50) + 0.8 * (plan == "basic"))))
    text = np.where(random.random(800) < 0.05, "", spend.astype(str))
    return pd.DataFrame(
        {
            "customer": [f"c{number}" for number in range(800)],
            "seen": pd.date_range("2026-01-01", periods=800, freq="h").astype(str),
            "age": age.astype(str),
            "spend": pd.Series(text, dtype=object).replace("", None),
            "plan": plan,
            "left": np.where(random.random(800) < risk, "Yes", "No"),
        }
    )


@pytest.fixture
def small_folder(tmp_path: Path, small_rows: pd.DataFrame) -> Path:
    """The small loop as a folder with its data."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / declaration.FILE).write_text(DECLARATION)
    small_rows.to_csv(folder / "rows.csv", index=False)
    return folder
