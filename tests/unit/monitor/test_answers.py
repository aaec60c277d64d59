"""Recent predictions by id: in pages, bounded, and sampled so that two monitors give the same ids."""

import numpy as np

from loopwright.monitor.answers import Answers


def batch(first, n):
    return [f"p{first + row}" for row in range(n)], np.linspace(0, 1, n)


def test_a_cursor_gives_what_came_since(profile):
    answers = Answers()
    assert answers.read("1", "")[0] == []
    answers.add("1", *batch(0, 3))
    found, cursor = answers.read("1", "")
    assert found == [("p0", 0.0), ("p1", 0.5), ("p2", 1.0)]
    assert answers.read("1", cursor) == ([], cursor)
    answers.add("2", *batch(0, 3))
    answers.add("1", *batch(3, 2))
    assert answers.read("1", cursor)[0] == [("p3", 0.0), ("p4", 1.0)]
    assert [name for name, _ in answers.read("2", cursor)[0]] == ["p0", "p1", "p2"]


def test_another_processes_cursor_and_nonsense_read_from_the_oldest():
    answers, other = Answers(), Answers()
    for one in (answers, other):
        one.add("1", *batch(0, 3))
    for cursor in (other.read("1", "")[1], "nonsense", ".", "x.y", "-1"):
        assert len(answers.read("1", cursor)[0]) == 3


def test_predictions_that_are_no_number_are_left_out():
    answers = Answers()
    answers.add("1", ["a", "b", "c"], np.array([0.1, np.nan, np.inf]))
    assert answers.read("1", "")[0] == [("a", 0.1)]


def test_of_many_a_sample_by_the_ids_hash_that_is_the_same_for_every_version():
    answers = Answers(most_answered=100)
    ids, predictions = batch(0, 1500)
    answers.add("1", ids, predictions)
    answers.add("2", list(reversed(ids)), predictions)
    answers.add("3", ids[:150], predictions[:150])
    one, two, three = ({name for name, _ in answers.read(version, "")[0]} for version in "123")
    assert 20 < len(one) <= 100
    assert one == two
    assert one & set(ids[:150]) <= three, "who has fewer halves less often, and has the other's"


def test_memory_is_bounded_in_rows_and_versions():
    answers = Answers(most_rows=10)
    for number in range(50):
        answers.add("1", *batch(3 * number, 3))
    assert len(answers.read("1", "")[0]) <= 12
    for version in range(40):
        answers.add(f"v{version}", *batch(0, 3))
    assert len(answers._batches) == 16
    assert answers.read("1", "")[0] == []
