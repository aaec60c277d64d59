"""What scikit-learn does in parallel, handed to Dask workers: a backend for joblib.

    joblib.Parallel -> a call, in a thread that waits for it -> pickled, arrays in files -> a task of a worker

joblib has a backend for Dask of its own. It waits for ever for a task that no worker can read or that ends its workers,
does all of it here where there is one worker, and sends rows through the scheduler. Here a call is waited for as a part
of the rows is, and workers map large arrays from files that they see, so that a worker that is lost loses nothing.
"""

import io
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from joblib.parallel import ThreadingBackend

from loopwright.errors import RunError

LARGE = 1_000_000
"""Bytes from which on an array goes into a file."""
LEAST = 2
"""Calls at a time: of one joblib makes none of ours, but does it all in this process."""


class Backend(ThreadingBackend):  # type: ignore[misc]
    """Has `done` do each call, given as bytes, `count` at a time; large arrays are kept in the folder meanwhile."""

    uses_threads = supports_sharedmem = False

    def __init__(self, done: Callable[[bytes], Any], count: int, folder: Path) -> None:
        super().__init__()
        self._done, self._count, self._folder = done, max(LEAST, count), folder
        self._kept: dict[int, tuple[Any, Path]] = {}
        self._lock = threading.Lock()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """As many as there are workers, whatever an estimator's `n_jobs` says."""
        return self._count

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], None] | None = None) -> Any:
        """Begin a call, in a thread that waits for it."""
        return super().submit(lambda: self._done(self._packed(func)), callback)

    def _packed(self, func: Callable[[], Any]) -> bytes:
        file = io.BytesIO()
        _Pickler(file, self._place).dump(func)
        return file.getvalue()

    def _place(self, array: Any) -> Path:
        """The file with an array, written when it is first asked for."""
        with self._lock:
            # The array is kept with it, so that no other gets its id.
            if (known := self._kept.get(id(array))) is None:
                path = self._folder / f"{len(self._kept)}.npy"
                np.save(path, array, allow_pickle=False)
                known = self._kept[id(array)] = array, path
            return known[1]


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Leaves large arrays out, and says where they are."""

    def __init__(self, file: io.BytesIO, place: Callable[[Any], Path]) -> None:
        super().__init__(file)
        self._place = place

    def reducer_override(self, value: Any) -> Any:
        if type(value) is np.ndarray and value.nbytes >= LARGE and not value.dtype.hasobject:
            return _mapped, (self._place(value),)
        return super().reducer_override(value)


def _mapped(path: Path) -> Any:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def call(content: bytes) -> Any:
    """Runs on a worker: what a packed call gives. Raises RunError where it cannot be read here."""
    try:
        # Of the step that this worker takes its tasks from, which could as well send any other function.
        function = pickle.loads(content)  # noqa: S301
    except Exception as error:
        raise RunError(
            f"a Dask worker cannot read what it is to do: {type(error).__name__}: {error}",
            expected="workers of the same release as the step, that see its files",
            do="start the workers from the step's image, with the folders of its runs (docs/scale.md)",
        ) from error
    return function()
