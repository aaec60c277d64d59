"""LightGBM's boosters as scores: batches through their own `predict`, one row through the C API's fast call.

`Booster.predict` spends more time on checks and copies around one row than the trees need for it. LightGBM's C API has
a call for this case (LGBM_BoosterPredictForMatSingleRowFast, `LightGBM/include/LightGBM/c_api.h`), which the Python
package does not offer; it is used through the library that the package has loaded, and only where it gave the same
numbers as `Booster.predict` when the model was loaded.
"""

import ctypes
import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from loopwright.models.columns import Array

log = logging.getLogger(__name__)

# Constants of c_api.h.
_PREDICT_NORMAL, _FLOAT64 = 0, 1
_TRIALS = 64


def batch_score(booster: Any) -> Callable[[Array], Array]:
    """Score with a booster, in the calling thread: it is one row or a small batch that is predicted."""

    def score(matrix: Array) -> Array:
        return np.asarray(booster.predict(matrix, num_threads=1), dtype=np.float64)

    return score


def row_score(booster: Any) -> Callable[[Sequence[float]], float]:
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
    return lambda row: float(score(np.array([row], dtype=np.float64))[0])


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
        self._length, self._result = ctypes.c_int64(), ctypes.c_double()
        self._arguments = (config, self._row, ctypes.byref(self._length), ctypes.byref(self._result))
        self._lock = threading.Lock()

    def __call__(self, row: Sequence[float]) -> float:
        with self._lock:
            self._row[:] = row
            if self._call(*self._arguments) != 0:
                raise RuntimeError("LightGBM's prediction of one row failed")
            return self._result.value


def _agree(fast: _Fast, score: Callable[[Array], Array], width: int) -> bool:
    """Whether both give the same numbers, on rows with values of many sizes and with missing ones."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(_TRIALS, width)) * 10.0 ** random.integers(-3, 5, (_TRIALS, width))
    # Codes of categories are small whole numbers.
    rows[::2] = random.integers(0, 12, (_TRIALS // 2, width))
    rows[random.random(rows.shape) < 0.1] = np.nan
    return bool(np.array_equal(score(rows), np.array([fast(row.tolist()) for row in rows])))
