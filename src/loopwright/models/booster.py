"""LightGBM's boosters as scores: batches by bit vectors or their own `predict`, one row by the C API's fast call.

`Booster.predict` spends more time on checks and copies around one row than the trees need for it. LightGBM's C API has
a call for this case (LGBM_BoosterPredictForMatSingleRowFast, `LightGBM/include/LightGBM/c_api.h`), which the Python
package does not offer; it is used through the library that the package has loaded, and only where it gave the same
numbers as `Booster.predict` when the model was loaded.

Batches are several times as fast by bit vectors (see `quick`). Their tables take a moment to make and to compare with
LightGBM, so a model is loaded without them, and whoever has many rows to predict asks for them.
"""

import ctypes
import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from loopwright.models import quick, trees
from loopwright.models.columns import Array, Prediction

log = logging.getLogger(__name__)

# Constants of c_api.h.
_PREDICT_NORMAL, _FLOAT64 = 0, 1
_TRIALS = 64
# Of fewer rows LightGBM's own prediction costs about as little.
_FEW = 8
# How far a prediction may be from LightGBM's: the exponential function is rounded differently in places.
_TOLERANCE = 1e-12
# As many rows as LightGBM is asked for at a time while bit vectors are compared: other predictions wait meanwhile.
_PART = 200
# Bit vectors are timed so often, and the quickest counts: the first time pays for fetching the tables, and on a busy
# machine others throw them out of the cache.
_REPEATS = 3


def batch_score(booster: Any) -> Callable[[Array], Array]:
    """Score with a booster, in the calling thread: it is one row or a small batch that is predicted."""

    def score(matrix: Array) -> Array:
        return np.asarray(booster.predict(matrix, num_threads=1), dtype=np.float64)

    return score


def row_score(booster: Any) -> Callable[[Sequence[float]], Prediction]:
    """Score one row: by the fast call where this build of LightGBM has it and it agrees with `Booster.predict`."""
    score = batch_score(booster)
    try:
        fast = _Fast(booster)
    except (AttributeError, OSError, ValueError) as error:
        log.warning("single rows are predicted as batches of one: %s", error)
    else:
        if _agree(fast, score, booster.num_feature()):
            return fast
        log.warning("single rows are predicted as batches of one: LightGBM's fast call gave other numbers")

    def slow(row: Sequence[float]) -> Prediction:
        found: Prediction = score(np.array([row], dtype=np.float64))[0].tolist()
        return found

    return slow


class Quickened(NamedTuple):
    """A batch score, and how many times as fast as LightGBM it was on the rows that it was compared on."""

    score: Callable[[Array], Array]
    gain: float


def quick_score(booster: Any, text: str) -> Quickened | None:
    """Score batches by bit vectors; None where they are not for this model, differ from LightGBM, or are no faster.

    `text` is what the booster was loaded from. It is compared on rows that reach each leaf of each tree and lie at the
    ends of each interval of each feature, with missing values and with categories that no tree knows.
    """
    slow = batch_score(booster)
    try:
        made = quick.Quick(trees.parse(text))
    except (ValueError, KeyError, IndexError) as error:
        log.info("batches are predicted by LightGBM itself: %s", error)
        return None
    rows = made.trials(np.random.default_rng(0))
    parts = np.array_split(rows, -(-len(rows) // _PART))
    began = time.thread_time()
    expected = np.concatenate([slow(part) for part in parts])
    took, tried = time.thread_time() - began, []
    for _ in range(_REPEATS):
        began = time.thread_time()
        found = made(rows)
        tried.append(time.thread_time() - began)
    gain = took / max(min(tried), 1e-9)
    if not np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
        log.warning("batches are predicted by LightGBM itself: bit vectors gave other numbers")
        return None
    if gain < 1:
        log.info("batches are predicted by LightGBM itself: bit vectors are no faster for this model")
        return None
    log.info(
        "batches are predicted by bit vectors: equal to LightGBM on %d rows, %.1f times as fast, %.1f MB",
        *(len(rows), gain, made.bytes / 1e6),
    )
    return Quickened(lambda matrix: made(matrix) if len(matrix) >= _FEW else slow(matrix), gain)


class _Fast:
    """The fast call with its buffers. A lock, as they are one set and the call releases the interpreter's."""

    def __init__(self, booster: Any) -> None:
        from lightgbm.basic import _LIB

        self._booster = booster
        self._width = booster.num_feature()
        self._call = _LIB.LGBM_BoosterPredictForMatSingleRowFast
        config = ctypes.c_void_p()
        made = _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
            *(booster._handle, _PREDICT_NORMAL, 0, -1, _FLOAT64, ctypes.c_int32(self._width)),
            *(b"num_threads=1", ctypes.byref(config)),
        )
        if made != 0:
            raise ValueError("LightGBM refused to prepare it")
        weakref.finalize(self, _LIB.LGBM_FastConfigFree, config)
        self._row = (ctypes.c_double * self._width)()
        # LightGBM writes a number for each of more than two classes.
        self._classes = int(booster.num_model_per_iteration())
        self._length, self._result = ctypes.c_int64(), (ctypes.c_double * self._classes)()
        self._arguments = (config, self._row, ctypes.byref(self._length), ctypes.byref(self._result))
        self._lock = threading.Lock()

    def __call__(self, row: Sequence[float]) -> Prediction:
        with self._lock:
            self._row[:] = row
            if self._call(*self._arguments) != 0:
                raise RuntimeError("LightGBM's prediction of one row failed")
            return self._result[0] if self._classes == 1 else self._result[:]


def _agree(fast: _Fast, score: Callable[[Array], Array], width: int) -> bool:
    """Whether both give the same numbers, on rows with values of many sizes and with missing ones."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(_TRIALS, width)) * 10.0 ** random.integers(-3, 5, (_TRIALS, width))
    # Codes of categories are small whole numbers.
    rows[::2] = random.integers(0, 12, (_TRIALS // 2, width))
    rows[random.random(rows.shape) < 0.1] = np.nan
    return bool(np.array_equal(score(rows), np.array([fast(row.tolist()) for row in rows])))
