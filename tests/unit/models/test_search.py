import optuna
import pytest

from loopwright.errors import DeclarationError
from loopwright.loop import Search
from loopwright.models import search as searching
from loopwright.models.layout import Layout
from loopwright.models.search import Place, search

FOLDS = Layout(90, 3).folds(3)
SPACE = {
    "depth": {"low": 1, "high": 20},
    "rate": {"low": 0.001, "high": 1.0, "log": True},
    "kind": {"choices": ["a", "b"]},
}


def declared(**changes):
    return Search.model_validate({"trials": 16, "space": SPACE, **changes})


def judge(parameters, part):
    assert part.sum() == 30
    return -abs(parameters["depth"] - 7) - abs(parameters["rate"] - 0.1) - (parameters["kind"] == "b")


def test_a_search_finds_good_parameters_and_the_same_again():
    found = search(declared(), "roc_auc", 7, FOLDS, judge, None)
    assert found == search(declared(), "roc_auc", 7, FOLDS, judge, None)
    assert found["value"] > -3
    assert found["complete"] + found["pruned"] == 16
    assert found["parameters"] != search(declared(), "roc_auc", 8, FOLDS, judge, None)["parameters"]


def test_sets_tried_at_the_same_time_are_found_in_the_same_order(tmp_path):
    one = search(declared(parallel=4), "roc_auc", 7, FOLDS, judge, Place(tmp_path / "a"))
    assert one == search(declared(parallel=4), "roc_auc", 7, FOLDS, judge, Place(tmp_path / "b"))


def test_a_search_that_was_killed_goes_on_to_the_same_result(tmp_path):
    tried = []

    def dies(parameters, part):
        tried.append(parameters)
        if len(tried) == 20:
            raise KeyboardInterrupt
        return judge(parameters, part)

    place = Place(tmp_path / "run" / "journal")
    with pytest.raises(KeyboardInterrupt):
        search(declared(), "roc_auc", 7, FOLDS, dies, place)
    told = []
    place = Place(place.journal, lambda number, *rest: told.append(number))
    found = search(declared(), "roc_auc", 7, FOLDS, judge, place)
    # What was known is not tried again.
    assert told[0] > 1
    assert told[-1] == 16
    whole = search(declared(), "roc_auc", 7, FOLDS, judge, None)
    assert {**found, "failed": 0} == whole


def test_a_set_that_is_worse_than_the_median_is_given_up():
    seen = []

    def counted(parameters, part):
        seen.append(part)
        return judge(parameters, part)

    found = search(declared(trials=40), "roc_auc", 7, FOLDS, counted, None)
    assert found["pruned"] > 5
    assert len(seen) <= 3 * found["complete"] + 2 * found["pruned"]
    seen.clear()
    search(declared(trials=12, pruning=False), "roc_auc", 7, FOLDS, counted, None)
    assert len(seen) == 36


def test_a_loss_is_made_small_and_a_wrong_set_is_told():
    assert search(declared(), "rmse", 7, FOLDS, lambda *one: -judge(*one), None)["value"] < 3

    def wrong(parameters, part):
        raise DeclarationError("LightGBM cannot train with these parameters: depth")

    with pytest.raises(DeclarationError, match="none of the 16 sets of parameters could be tried: LightGBM cannot"):
        search(declared(), "roc_auc", 7, FOLDS, wrong, None)


def test_a_timeout_ends_it_after_the_set_that_is_under_way(monkeypatch):
    moments = iter(range(0, 10_000, 100))
    monkeypatch.setattr(searching.time, "monotonic", lambda: next(moments))
    found = search(declared(timeout="5s"), "roc_auc", 7, FOLDS, judge, None)
    assert found["complete"] == 1


def test_the_default_space_is_lightgbms():
    asked = []
    search(Search(trials=2), "roc_auc", 7, FOLDS, lambda parameters, part: asked.append(parameters) or 0.5, None)
    assert set(asked[0]) == set(searching.LIGHTGBM)
    assert isinstance(asked[0]["num_leaves"], int)
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING
