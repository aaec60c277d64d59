import pytest

from loopwright.declaration import parse
from loopwright.errors import DeclarationError
from loopwright.loop import spelling


@pytest.mark.parametrize("one", [1, 1.0, "1", "1.0", "1.000", " 1 "])
def test_a_whole_number_is_one_class_however_it_is_written(one):
    assert spelling.spelled(one) == "1"
    assert [spelling.place(classes, one) for classes in ([0, 1, 2], ["0.0", "1.0", "2.0"], ["0", "1", "x"])] == [1] * 3


@pytest.mark.parametrize("one", [True, "true", "True", "TRUE"])
def test_true_is_one_class_however_it_is_written(one):
    assert spelling.spelled(one) == "true"
    assert spelling.place([False, True, "x"], one) == spelling.place(["false", "true"], one) == 1


@pytest.mark.parametrize("one", ["01", "1.5", "1e3", "v1.0", "1.0.0", "Yes", ""])
def test_other_texts_are_themselves(one):
    assert spelling.spelled(one) == one
    assert spelling.place(["1", "yes", "1000"], one) == -1


def test_the_class_of_that_very_name_comes_first():
    assert [spelling.place(["1", "1.0"], one) for one in ("1", "1.0", 1, "1.00")] == [0, 1, 0, 0]
    # 1 and True are one key of Python's, and two classes.
    assert (spelling.place([1, 0], True), spelling.place([True, False], True)) == (-1, 0)


@pytest.mark.parametrize("classes", ["[1, '1.0', x]", "[true, 'TRUE', x]"])
def test_classes_that_are_one_are_refused(churn_declaration, classes):
    with pytest.raises(DeclarationError, match="two of the classes are one"):
        parse(churn_declaration.replace("column: churned", f"column: churned, classes: {classes}"))
