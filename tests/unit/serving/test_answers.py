import math

import orjson
import pytest

from loopwright.serving import answers
from loopwright.serving.batch import row_ids


@pytest.mark.parametrize("classes", [(), ("No", "Yes"), ('a "quoted" name', "ü\n")], ids=["regression", "plain", "odd"])
@pytest.mark.parametrize("identity", ["order-17", 'with "quotes", \\ and ü'])
@pytest.mark.parametrize(
    "values",
    [[0.5, 0.25], [0.1 * at / 7 for at in range(75)], [1.0, 0.0, 1e-300, -2.5e17, 123456.789], [math.nan, math.inf]],
    ids=["few", "many", "odd", "no numbers"],
)
def test_several_predictions_are_byte_for_byte_what_objects_of_them_become(classes, identity, values):
    expected = orjson.dumps(answers.predictions(row_ids(identity, len(values)), values, classes))
    assert answers.several(identity, values, classes) == expected


def test_the_class_is_decided_at_the_models_own_threshold():
    values, classes = [0.19, 0.2, 0.6], ["No", "Yes"]
    ids = row_ids("a", 3)
    assert [one["class"] for one in answers.predictions(ids, values, classes, 0.2)] == ["No", "Yes", "Yes"]
    assert answers.outputs(values, classes, 0.2)[1][2] == ["No", "Yes", "Yes"]
    expected = orjson.dumps(answers.predictions(ids, values, classes, 0.2))
    assert answers.several("a", values, classes, 0.2) == expected
