import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from loopwright.models import booster


@pytest.fixture(scope="module", params=["binary", "regression"])
def trained(request):
    """A booster with a category and missing values, as serving loads it, and rows to ask it."""
    import lightgbm

    random = np.random.default_rng(4)
    rows = random.normal(size=(3000, 5)) * 50
    rows[:, 2] = random.integers(0, 6, len(rows))
    rows[random.random(rows.shape) < 0.1] = np.nan
    target = (np.nan_to_num(rows[:, 0]) + 30 * (rows[:, 2] == 3) > 10).astype(float)
    data = lightgbm.Dataset(rows, target, categorical_feature=[2])
    made = lightgbm.train({"objective": request.param, "verbosity": -1, "num_threads": 1}, data, 30)
    return lightgbm.Booster(model_str=made.model_to_string()), rows


def test_one_row_is_bit_for_bit_what_the_booster_predicts_in_a_batch(trained):
    loaded, rows = trained
    score = booster.row_score(loaded)
    assert isinstance(score, booster._Fast)
    assert [score(row) for row in rows.tolist()] == loaded.predict(rows).tolist()


def test_threads_share_the_call(trained):
    loaded, rows = trained
    score = booster.row_score(loaded)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(score, rows.tolist())) == loaded.predict(rows).tolist()


def test_a_row_of_another_width_is_refused(trained):
    with pytest.raises(ValueError, match="size"):
        booster.row_score(trained[0])([1.0])


@pytest.mark.parametrize("missing", ["LGBM_BoosterPredictForMatSingleRowFast", None])
def test_without_the_call_or_with_other_numbers_a_row_is_a_batch_of_one(trained, monkeypatch, caplog, missing):
    loaded, rows = trained
    if missing:

        class Library:
            """A build of LightGBM without the call."""

        monkeypatch.setattr("lightgbm.basic._LIB", Library())
    else:
        call = booster._Fast.__call__
        monkeypatch.setattr(booster._Fast, "__call__", lambda self, row: call(self, row) + 1e-9)
    with caplog.at_level(logging.WARNING):
        score = booster.row_score(loaded)
    assert "single rows are predicted as batches of one" in caplog.text
    monkeypatch.undo()
    assert [score(row) for row in rows[:20].tolist()] == loaded.predict(rows[:20]).tolist()


def test_batches_by_bit_vectors_are_what_the_booster_predicts(trained, caplog):
    loaded, rows = trained
    with caplog.at_level(logging.INFO):
        found = booster.quick_score(loaded, loaded.model_to_string())
    assert found is not None
    assert found.gain >= 1
    assert "batches are predicted by bit vectors: equal to LightGBM on" in caplog.text
    for some in (rows, rows[:3]):
        assert found.score(some).tolist() == loaded.predict(some).tolist()


@pytest.mark.parametrize(
    ("change", "why"),
    [("other numbers", "gave other numbers"), ("slower", "are no faster"), ("unknown", "several classes")],
)
def test_without_bit_vectors_lightgbm_predicts_batches(trained, monkeypatch, caplog, change, why):
    loaded, text = trained[0], trained[0].model_to_string()
    call = booster.quick.Quick.__call__
    if change == "other numbers":
        monkeypatch.setattr(booster.quick.Quick, "__call__", lambda self, rows: call(self, rows) + 1e-9)
    elif change == "slower":
        monkeypatch.setattr(
            booster.quick.Quick, "__call__", lambda self, rows: sum(call(self, rows) for _ in range(99)) / 99
        )
    else:
        text = text.replace("num_tree_per_iteration=1", "num_tree_per_iteration=3")
    with caplog.at_level(logging.INFO):
        assert booster.quick_score(loaded, text) is None
    assert why in caplog.text
