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


@pytest.mark.parametrize("by", ["entity", "random"])
def test_what_has_trained_a_version_never_judges_a_later_one_while_the_data_grows(
    small: Loop, valid: pd.DataFrame, by: str
) -> None:
    loop = holdout(small, by=by)
    trained, _ = splits.split(valid.head(600), loop)
    shuffled = valid.sample(frac=1, random_state=1).reset_index(drop=True)
    _, judging = splits.split(shuffled, loop)
    assert not set(trained["customer"]) & set(judging["customer"])
    assert 0.18 < len(judging) / len(valid) < 0.32


def test_a_seed_repeats_a_split_and_another_one_makes_another(small: Loop, valid: pd.DataFrame) -> None:
    for by in ("entity", "random"):
        loop = holdout(small, by=by)
        held = splits.split(valid, loop)[1]
        assert splits.split(valid, loop)[1].equals(held)
        other = loop.model_copy(update={"model": loop.model.model_copy(update={"seed": 8})})
        assert not splits.split(valid, other)[1].equals(held)


def test_a_part_with_hardly_a_row_of_a_class_is_refused(small: Loop, valid: pd.DataFrame) -> None:
    rare = valid.assign(left=["Yes"] * 9 + ["No"] * (len(valid) - 9))
    with pytest.raises(DataError, match=r"the label left is Yes in \d of \d+ rows; expected at least 5 rows of each"):
        splits.split(rare, holdout(small, by="random"))


def test_too_few_rows_are_refused_with_the_numbers(small: Loop, valid: pd.DataFrame) -> None:
    with pytest.raises(
        DataError, match=r"30 rows leave \d+ for (training|holdout); expected at least 20 rows in each part"
    ):
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


def test_the_positive_class_is_found_however_it_is_spelled(small: Loop, valid: pd.DataFrame) -> None:
    for positive, names in ((False, ["true", "false"]), (1, ["0.0", "1.0"])):
        rows = valid.assign(left=valid["left"].map(dict(zip(("No", "Yes"), names, strict=True))))
        label = small.data.label.model_copy(update={"positive": positive})
        named = small.model_copy(update={"data": small.data.model_copy(update={"label": label})})
        assert splits.classes(rows, named) == names
