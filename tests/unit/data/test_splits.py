import pandas as pd
import pytest

from loopwright.data import contract, splits
from loopwright.errors import DataError
from loopwright.loop import Loop


def holdout(loop: Loop, **changes: object) -> Loop:
    data = loop.data.model_copy(update={"holdout": loop.data.holdout.model_copy(update=changes)})
    return loop.model_copy(update={"data": data})


@pytest.fixture
def valid(small: Loop, small_rows: pd.DataFrame) -> pd.DataFrame:
    return contract.check(small_rows, small).valid


def test_by_entity_a_customer_is_on_the_same_side_in_every_snapshot(small: Loop, valid: pd.DataFrame) -> None:
    _, all_held = splits.split(valid, small)
    _, some_held = splits.split(valid.iloc[::2].reset_index(drop=True), small)
    assert set(some_held["customer"]) <= set(all_held["customer"])
    assert 0.18 < len(all_held) / len(valid) < 0.32


def test_by_time_the_newest_rows_judge(small: Loop, valid: pd.DataFrame) -> None:
    training, held = splits.split(valid, holdout(small, by="time"))
    assert training["seen"].max() < held["seen"].min()
    assert len(held) == pytest.approx(0.25 * len(valid), abs=2)


def test_at_random_the_classes_keep_their_share_and_a_seed_repeats(small: Loop, valid: pd.DataFrame) -> None:
    loop = holdout(small, by="random")
    training, held = splits.split(valid, loop)
    assert (held["left"] == "Yes").mean() == pytest.approx((valid["left"] == "Yes").mean(), abs=0.01)
    assert splits.split(valid, loop)[1].equals(held)
    other = loop.model_copy(update={"model": loop.model.model_copy(update={"seed": 8})})
    assert not splits.split(valid, other)[1].equals(held)
    assert not set(training["customer"]) & set(held["customer"])


def test_too_few_rows_are_refused_with_the_numbers(small: Loop, valid: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"30 rows leave \d+ for holdout; expected at least 20 rows in each part"):
        splits.split(valid.head(30), holdout(small, by="random"))


def test_a_label_of_one_class_is_refused_naming_it(small: Loop, valid: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"the label left has 1 class \(No\); expected two classes"):
        splits.split(valid.assign(left="No"), small)


def test_the_positive_class_sorts_last_unless_it_is_named(small: Loop, valid: pd.DataFrame) -> None:
    assert splits.classes(valid, small) == ["No", "Yes"]
    label = small.data.label.model_copy(update={"positive": "No"})
    named = small.model_copy(update={"data": small.data.model_copy(update={"label": label})})
    assert splits.classes(valid, named) == ["Yes", "No"]
    label = small.data.label.model_copy(update={"positive": "Maybe"})
    absent = small.model_copy(update={"data": small.data.model_copy(update={"label": label})})
    with pytest.raises(DataError, match=r"the label left has No, Yes; expected the positive class 'Maybe'"):
        splits.classes(valid, absent)
