"""Tests of the training: it can be repeated, it learns, and it refuses what there is nothing to learn from."""

import numpy as np
from conftest import copy, loopwright


def test_the_same_rows_make_the_same_model(trained, tmp_path, frame):
    again = loopwright("run", copy(tmp_path / "again", frame))
    assert again.answer["metrics"] == trained.run["metrics"]


def test_every_gate_was_judged(trained):
    assert {"r2", "rmse"} <= {gate["metric"] for gate in trained.run["gates"]}
    assert all(gate["passed"] for gate in trained.run["gates"])


def test_a_model_of_shuffled_labels_is_not_registered(loop, frame):
    shuffled = frame.assign(price=np.random.default_rng(2).permutation(frame["price"]))
    shuffled.to_csv(loop / "data" / "rows.csv", index=False)
    assert loopwright("run", loop).code == 4
