"""Which place of a ring the newest entry of a key has, in arrays: a dictionary of as many keys takes ten times more.

The chains of zlib's deflate (RFC 1951's reference implementation, deflate.c): each bucket has the newest position, each
position the one before it in its bucket. Positions only grow, so that a chain ends where it comes to one whose place
was taken since, and nothing ever has to be removed.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Slots:
    """The newest `capacity` entries. A key is a hash, 64 bits."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._mask = (1 << max(capacity - 1, 1).bit_length()) - 1
        self._newest = np.full(self._mask + 1, -1, dtype=np.int64)
        self._before = np.full(capacity, -1, dtype=np.int64)
        self._keys = np.zeros(capacity, dtype=np.int64)
        self._next = 0

    def add(self, keys: Sequence[int]) -> NDArray[np.int64]:
        """Give each of at most `capacity` keys the next place, which an entry of long ago loses; the places, (n,)."""
        given = np.array(keys, dtype=np.int64)
        at = self._next + np.arange(len(given))
        places = at % self.capacity
        buckets = given & self._mask
        order = np.argsort(buckets, kind="stable")
        before = self._newest[buckets]
        # Of several in one bucket each comes after the one before it.
        again = np.flatnonzero(np.diff(buckets[order]) == 0)
        before[order[again + 1]] = at[order[again]]
        self._before[places], self._keys[places] = before, given
        self._newest[buckets[order]] = at[order]
        self._next += len(given)
        return places

    def find(self, key: int) -> int | None:
        """The place of the newest entry of a key, unless it was lost."""
        at = int(self._newest[key & self._mask])
        while at >= 0 and at >= self._next - self.capacity:
            place = at % self.capacity
            if self._keys[place] == key:
                return place
            at = int(self._before[place])
        return None
