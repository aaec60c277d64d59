"""Messages of events are checked completely before they are accepted."""

import math

import msgspec
import numpy as np
import pytest

from loopwright.monitor.events import Batch, EventError, EventQueue, check, decode


def through(content, profile):
    return check(decode(msgspec.msgpack.encode(content)), profile)


def test_a_message_becomes_arrays_of_the_profiles_columns(message, profile):
    content = message()
    batch = through(content, profile)
    assert batch.ids == content["ids"]
    assert batch.columns["age"].tolist() == content["columns"]["age"]
    assert batch.columns["age"].dtype == np.float64
    assert batch.columns["plan"].tolist() == content["columns"]["plan"]
    assert batch.predictions.tolist() == content["predictions"]
    assert batch.unknown == 0


def test_every_way_to_write_a_number_is_read(message, profile):
    content = message(7)
    content["columns"]["age"] = [None, "", 1, 2.5, True, math.nan, -math.inf]
    values = through(content, profile).columns["age"]
    np.testing.assert_array_equal(values, [math.nan, math.nan, 1, 2.5, 1, math.nan, -math.inf])
    content["columns"]["age"] = [2**64 - 1, -1, 0, 1, 2, 3, 4]
    assert through(content, profile).columns["age"][0] == 2.0**64


def test_packed_numbers_are_the_same_as_listed_ones(message, profile):
    listed, packed = message(50), message(50)
    packed["columns"]["age"] = np.array(packed["columns"]["age"]).tobytes()
    packed["predictions"] = np.array(packed["predictions"]).tobytes()
    one, other = through(listed, profile), through(packed, profile)
    np.testing.assert_array_equal(one.columns["age"], other.columns["age"])
    np.testing.assert_array_equal(one.predictions, other.predictions)


def test_columns_the_profile_does_not_have_are_ignored_and_counted(message, profile):
    content = message()
    content["columns"] |= {"shoe_size": [1, 2, 3, 4], "hat": ["a"]}
    batch = through(content, profile)
    assert set(batch.columns) == {"age", "plan"}
    assert batch.unknown == 2


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c["columns"].pop("age"), "the column age is missing"),
        (lambda c: c["columns"]["plan"].pop(), "column plan: found 3 values; expected 4"),
        (lambda c: c["columns"].update(age=bytes(24)), "column age: found 3 values; expected 4"),
        (lambda c: c["columns"].update(age=bytes(31)), "age: found 31 bytes of packed numbers; expected eight a value"),
        (lambda c: c["columns"].update(plan=bytes(32)), "column plan: found packed numbers; expected a list of text"),
        (lambda c: c.update(predictions=bytes(5)), "predictions: found 5 bytes of packed numbers"),
        (lambda c: c["ids"].pop(), "3 ids for 4 predictions"),
        (lambda c: c["columns"]["age"].__setitem__(2, "forty"), "column age: found 'forty'; expected a number"),
        (lambda c: c["columns"].update(age=[None, "12", 1, 2]), "column age: found '12'; expected a number"),
        (lambda c: c.update(ids=[], predictions=[]), "without predictions"),
        (lambda c: c["predictions"].__setitem__(0, "high"), "Expected `float`, got `str`"),
        (lambda c: c["columns"]["age"].__setitem__(0, [1]), "got `array`"),
        (lambda c: c.pop("version"), "missing required field `version`"),
        (lambda c: c.update(version=3), "Expected `str`"),
    ],
)
def test_a_message_that_cannot_be_counted_says_why(message, profile, change, text):
    content = message()
    change(content)
    with pytest.raises(EventError) as caught:
        through(content, profile)
    assert text in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"{}", b'{"version": 1}', b"\x81", b"\xa1\xff"])
def test_what_is_no_msgpack_is_refused(body):
    with pytest.raises(EventError, match="not a message of events"):
        decode(body)


def test_the_queue_is_bounded_by_rows_and_keeps_the_order():
    def batch(name, n):
        return Batch(name, ["x"] * n, {}, np.zeros(n), 0)

    queue = EventQueue(10)
    assert queue.offer(batch("a", 6))
    assert not queue.offer(batch("b", 5))
    assert queue.offer(batch("c", 4))
    assert queue.batches == 2
    assert [queue.take().version, queue.take().version, queue.take()] == ["a", "c", None]
    assert queue.offer(batch("d", 10))
