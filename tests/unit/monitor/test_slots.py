"""Places in a ring, found by key: the same as a dictionary from which what was overwritten is taken out."""

import numpy as np
import pytest

from loopwright.monitor.slots import Slots


@pytest.mark.parametrize(("capacity", "keys"), [(1, 3), (5, 7), (64, 40), (200, 600)])
def test_the_newest_place_of_a_key_is_found_until_it_is_lost(capacity, keys):
    rng = np.random.default_rng(capacity)
    slots, held = Slots(capacity), [None] * capacity
    # Keys of few buckets share chains; negative ones are as hashes are.
    known = (rng.integers(-(2**62), 2**62, keys) // 4 * 4).tolist()
    number = 0
    for _ in range(100):
        batch = [known[one] for one in rng.integers(0, keys, rng.integers(0, capacity + 1))]
        places = slots.add(batch)
        newest = {}
        for key, place in zip(batch, places.tolist(), strict=True):
            assert place == number % capacity
            held[place] = (key, number)
            number += 1
        for entry in held:
            if entry is not None and entry[1] >= newest.get(entry[0], (-1, -1))[0]:
                newest[entry[0]] = (entry[1], entry[1] % capacity)
        for key in known[:50]:
            assert slots.find(key) == (newest[key][1] if key in newest else None)


def test_a_key_in_the_bucket_of_another_is_not_taken_for_it():
    slots = Slots(8)
    slots.add([1])
    assert slots.find(9) is None
    assert slots.find(1) == 0
