"""skew, attributions and estimate as jobs: a registered version, its archived events, what a Pushgateway has then."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.integration.test_pushgateway import BINARY, exposed, gateway

from loopwright.archive.layout import Key
from loopwright.data import typed
from loopwright.declaration import load

__all__ = ["gateway"]
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(BINARY is None, reason="pushgateway is not on PATH (Debian's package prometheus-pushgateway)"),
]
FIRST = datetime(2026, 4, 1, 9, tzinfo=UTC)


def archive(folder: Path, name: str, inputs: pd.DataFrame) -> None:
    """Put events of version 1 into the archive, a second apart, each with the customer as its id."""
    times = pa.array([FIRST + timedelta(seconds=one) for one in range(len(inputs))], pa.timestamp("us", tz="UTC"))
    table = pa.table(
        {
            "prediction_id": [f"c{number}" for number in range(len(inputs))],
            "received_at": times,
            "predicted_at": times,
            "prediction": np.full(len(inputs), 0.5),
            **{column: pa.array(inputs[column]) for column in inputs},
        }
    )
    path = folder / ".loopwright" / "kept" / Key.new(name, "1", FIRST, len(inputs)).path
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def test_what_jobs_found_of_a_registered_version_is_in_the_pushgateway(gateway: str, loopwright: Any) -> None:
    with (loopwright.folder / "loop.yaml").open("a") as file:
        file.write("monitor: {archive: {url: kept}}\n")
    loopwright.environment["LOOPWRIGHT_PUSHGATEWAY_URL"] = gateway
    assert loopwright.json("run")["version"] == 1
    rows = pd.read_csv(loopwright.folder / "rows.csv", dtype=str)
    asked = typed.inputs(load(loopwright.folder), rows)
    asked["plan"] = asked["plan"].str.upper()
    archive(loopwright.folder, "small", asked)

    skew = loopwright("skew", "--json")
    assert skew.returncode == 12
    told = json.loads(skew.stdout)
    assert [one["feature"] for one in told["features"] if one["beyond"]] == ["plan"]
    with sqlite3.connect(loopwright.folder / "store.db") as database:
        rows.assign(plan=rows["plan"].str.upper()).to_sql("features", database)
    store = f"sqlite:///{loopwright.folder}/store.db"
    assert loopwright("skew", "--offline", store, "--query", "SELECT * FROM features").returncode == 0
    assert loopwright("skew", "--end", "2026-01-01").returncode == 3

    attributions = loopwright("attributions", "--json")
    assert attributions.returncode in (0, 12), attributions.stderr
    assert json.loads(attributions.stdout)["version"] == "1"
    assert "small is a classification" in loopwright("estimate").stderr

    found = exposed(gateway)
    group = 'instance="",job="loopwright_skew",loop="small"'
    # The last comparison, with the store that has capitals too.
    plan = 'feature="plan",' + group
    assert (found[f"loopwright_skew_share{{{plan}}}"], found[f"loopwright_skew_rows{{{group}}}"]) == (0, 800)
    mean = 'feature="age",instance="",job="loopwright_attributions",loop="small",version="1"'
    assert found[f"loopwright_attribution_mean{{{mean}}}"] > 0
    # Capitals are plans that the model has never seen.
    lost = mean.replace("age", "plan")
    now, reference = (found[f"loopwright_attribution_{name}{{{lost}}}"] for name in ("mean", "reference_mean"))
    assert now != pytest.approx(reference, rel=0.01)
