import pytest

from loopwright.errors import RolloutError
from loopwright.loop import Rollout
from loopwright.models.columns import InputSpec
from loopwright.rollout.inputs import check, check_classes


def specs(**kinds):
    types = {"number": "number", "category": "string"}
    return [InputSpec(name=name, kind=kind, type=types[kind]) for name, kind in kinds.items()]


OLD = specs(age="number", plan="category")


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (specs(age="number"), "`plan` is removed"),
        (specs(age="number", plan="category", city="category"), "`city` is added"),
        (specs(age="category", plan="category"), "`age` is a category, and was a number"),
        (specs(plan="category", age="number"), "the order is plan, age, and was age, plan"),
        (specs(years="number", plan="number"), "`years` is added; `age` is removed; `plan` is a number, and was a cat"),
    ],
)
def test_a_challenger_with_other_columns_is_refused_and_they_are_named(new, said):
    with pytest.raises(RolloutError, match="version 2 does not take the requests that version 1") as refused:
        check(2, new, 1, OLD)
    assert said in str(refused.value)
    assert "--other-inputs" in str(refused.value)


def test_a_challenger_with_the_same_columns_is_welcome_whatever_their_types_in_the_contract():
    check(2, OLD, 1, OLD)
    check(2, [OLD[0].model_copy(update={"type": "integer"}), OLD[1]], 1, OLD)


COMPARES, COUNTS = {"analysis": {"disagreement": {}}, "strategy": "shadow"}, {"analysis": {"error_rate": {}}}


@pytest.mark.parametrize("declared", [COMPARES, {}, {**COUNTS, "strategy": "ab"}])
@pytest.mark.parametrize("old", [("a", "b"), ("a", "c", "b"), ("a", "b", "c", "d")])
def test_answers_with_other_classes_are_not_compared_by_place(declared, old):
    rollout = Rollout.model_validate(declared)
    with pytest.raises(RolloutError, match="version 2 answers with the classes a, b, c, and version 1") as refused:
        check_classes(2, ("a", "b", "c"), 1, old, rollout)
    assert "rollout.analysis" in str(refused.value)
    check_classes(2, old, 1, old, rollout)


def test_other_classes_are_welcome_where_no_predictions_are_compared_or_they_are_two_or_only_spelt_otherwise():
    check_classes(2, ("a", "b", "c"), 1, ("a", "b"), Rollout.model_validate(COUNTS))
    check_classes(2, ("no", "yes"), 1, (False, True), Rollout.model_validate(COMPARES))
    check_classes(2, (1, 2, 3), 1, ("1", "2", "3"), Rollout.model_validate(COMPARES))
