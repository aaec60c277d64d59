"""The newest predictions by id, so that two versions' answers to one mirrored request can be held against each other.

Batches are kept as they came; nothing is done a row until somebody asks. Where more came than an answer holds, it is
the ids with the smallest hashes: a fixed order, so that two monitors that are asked about the same requests give the
same ids, whatever their versions predicted.
"""

import secrets
import zlib
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 50_000
"""Rows kept of a version, a few MB: at 5,000 requests a second what comes in ten seconds; a rollout asks every two."""
MOST_ANSWERED = 5_000
MOST_VERSIONS = 16

Answer = tuple[str, float]


class Answers:
    """The newest predictions of each version. A cursor is of this process: another one's is read from the oldest."""

    def __init__(self, most_rows: int = MOST_ROWS, most_answered: int = MOST_ANSWERED) -> None:
        self._most, self._answered = most_rows, most_answered
        self._process = secrets.token_hex(4)
        self._batches: dict[str, deque[tuple[int, Sequence[str], NDArray[np.float64]]]] = {}
        self._rows: dict[str, int] = {}
        self._end = 0

    def add(self, version: str, ids: Sequence[str], predictions: NDArray[np.float64]) -> None:
        """Keep a batch, and let go of the oldest ones beyond the bound."""
        if version not in self._batches and len(self._batches) >= MOST_VERSIONS:
            oldest = next(iter(self._batches))
            del self._batches[oldest], self._rows[oldest]
        batches = self._batches.setdefault(version, deque())
        batches.append((self._end, ids, predictions))
        self._end += len(ids)
        rows = self._rows.get(version, 0) + len(ids)
        while rows > self._most and len(batches) > 1:
            rows -= len(batches.popleft()[1])
        self._rows[version] = rows

    def read(self, version: str, after: str) -> tuple[list[Answer], str]:
        """(id, prediction) of a version after the cursor, and the next cursor; predictions that are no number not."""
        process, _, end = after.partition(".")
        begin = int(end) if process == self._process and end.isdecimal() else 0
        found = [
            (identifier, prediction)
            for first, ids, predictions in self._batches.get(version, ())
            if first >= begin
            for identifier, prediction in zip(ids, predictions.tolist(), strict=True)
            if np.isfinite(prediction)
        ]
        limit = 2**32
        while len(found) > self._answered:
            # Halves are nested, so that a monitor that halves once more has a part of the other's ids.
            limit //= 2
            found = [one for one in found if zlib.crc32(one[0].encode()) < limit]
        return found, f"{self._process}.{self._end}"
