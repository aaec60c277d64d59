"""LightGBM trained by several processes, none of which holds its rows as numbers: what each of them does.

    rows of its parts -> encoded, to a file of its own -> LightGBM's bins, batch by batch -> trees, with the others

LightGBM keeps a byte or two a value; the float64 matrix, eight, is on disk only and read in batches
(`lightgbm.Sequence`). The processes agree on each split over sockets: LightGBM's data-parallel tree learner, as
lightgbm.dask sets it up (https://lightgbm.readthedocs.io/en/latest/Parallel-Learning-Guide.html). One process alone
gives, to the last bit, the model that is trained with all rows in memory; of several each looks for the bins of some
features in its own rows and draws its own rows for bagging, so that the model is another one, the same at every run.
"""

import logging
import re
import shutil
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwright.errors import DataError
from loopwright.models import columns, features
from loopwright.models.columns import Array, Columns, InputSpec
from loopwright.models.course import Course, untrainable
from loopwright.models.features import FeatureSpec

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MATRIX, TARGET, WEIGHTS = "matrix.f64", "target.npy", "weights.npy"
BATCH_ROWS = 8192
NETWORK_MINUTES = 30
"""How long LightGBM waits for another process; one that is gone is noticed sooner by who started them."""
# What LightGBM writes into a model of where it was trained, and which is no part of it.
_PLACE = re.compile(r"\[(machines|local_listen_port|time_out): [^\]]*\]")
_NO_PLACE = {"machines": "", "local_listen_port": "12400", "time_out": "120"}


@dataclass(frozen=True)
class Sight:
    """How rows become what the model sees: the inputs, and the feature code's source or nothing."""

    inputs: tuple[InputSpec, ...]
    source: str

    def raw(self, frame: "pd.DataFrame") -> Columns:
        """The inputs of some rows."""
        return columns.from_frame(self.inputs, frame[[spec.name for spec in self.inputs]])

    def derived(self, frame: "pd.DataFrame") -> Columns:
        """What the feature code makes of them."""
        found = self.raw(frame)
        return features.load(self.source)(found) if self.source else found

    def matrix(self, frame: "pd.DataFrame", specs: Sequence[FeatureSpec]) -> Array:
        """The float64 matrix (rows, features)."""
        return features.encode(specs, self.derived(frame))


def merged(found: Iterable[Sequence[FeatureSpec]]) -> tuple[FeatureSpec, ...]:
    """What the model sees, learnt of all rows, from what was learnt of each part (`features.fit_spec`).

    Raises DataError where the feature code gives other columns, or others' kinds, from one part to the next.
    """
    first: Sequence[FeatureSpec] | None = None
    values: dict[str, set[str]] = {}
    for specs in found:
        first = first or specs
        if [(one.name, one.kind) for one in specs] != [(one.name, one.kind) for one in first]:
            raise DataError(
                "the feature code gives other columns from one part of the rows to the next",
                expected=", ".join(f"{one.name} ({one.kind})" for one in first),
                do="make it a function of each row, whatever the others are",
            )
        for one in specs:
            values.setdefault(one.name, set()).update(one.values)
    return tuple(one.model_copy(update={"values": tuple(sorted(values[one.name]))}) for one in first or ())


def prepare(
    folder: Path, frames: Iterable["pd.DataFrame"], encode: Callable[["pd.DataFrame"], Array],
    target: Callable[["pd.DataFrame"], Array], weights: Callable[[Array], Array | None],
) -> int:  # fmt: skip
    """Write a process's rows into the folder, encoded, with their targets and weights; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = []
    with (folder / MATRIX).open("wb") as file:
        for frame in frames:
            encode(frame).tofile(file)
            targets.append(np.asarray(target(frame), dtype=np.float64))
    every = np.concatenate(targets)
    np.save(folder / TARGET, every)
    if (found := weights(every)) is not None:
        np.save(folder / WEIGHTS, found)
    return len(every)


def train(folder: Path, course: Course, width: int, others: Sequence[str] = (), rank: int = 0) -> str | None:
    """Train on the rows that `prepare` left in the folder, which is removed; the model's text, of rank 0 alone.

    `others` are host:port of all processes, this one at `rank`. Raises DeclarationError for parameters that LightGBM
    refuses, and ConnectionError where the processes do not find each other.
    """
    import lightgbm

    # It tells of every port and connection before it has read how much it is to tell.
    lightgbm.register_logger(log, info_method_name="debug", warning_method_name="info")
    parameters = dict(course.parameters)
    if len(others) > 1:
        parameters |= {
            "tree_learner": "data", "machines": ",".join(others), "num_machines": len(others),
            "local_listen_port": int(others[rank].rpartition(":")[2]), "time_out": NETWORK_MINUTES,
        }  # fmt: skip
    weights = np.load(folder / WEIGHTS) if (folder / WEIGHTS).exists() else None
    # Given a matrix LightGBM draws the rows that bins are found in by this seed; of a sequence Python draws them.
    own = {**parameters, "data_random_seed": parameters.get("data_random_seed", _drawn_by(parameters["seed"]))}
    try:
        data = lightgbm.Dataset(
            _sequence(folder / MATRIX, width), np.load(folder / TARGET), weight=weights,
            categorical_feature=list(course.categories), params=own, free_raw_data=True,
        )  # fmt: skip
        booster = lightgbm.train(parameters, data, num_boost_round=int(course.rounds))
        text = booster.model_to_string() if rank == 0 else None
        if len(others) > 1:
            booster.free_network()
    except (lightgbm.basic.LightGBMError, ValueError, TypeError) as error:
        if re.search(r"socket|connect|bind|network", str(error), re.IGNORECASE):
            raise ConnectionError(str(error)) from error
        raise untrainable(error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return text and _PLACE.sub(lambda found: f"[{found[1]}: {_NO_PLACE[found[1]]}]", text)


def free_port() -> int:
    """A port that nothing listens on here; another process may take it before it is used, which is then told."""
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])


def _drawn_by(seed: int) -> int:
    """The `data_random_seed` that LightGBM derives from `seed`.

    The first 15 bits of its generator (LightGBM's `utils/random.h`), as `Config::Set` in `io/config.cpp` uses them.
    """
    state = (214013 * seed + 2531011) & 0xFFFFFFFF
    return (state >> 16 & 0x7FFF) % 0x7FFF


def _sequence(path: Path, width: int) -> Any:
    """The matrix in a file as LightGBM asks for it: ranges of rows, and single ones in rising order."""
    import lightgbm

    rows = path.stat().st_size // (8 * width)

    class Rows(lightgbm.Sequence):  # type: ignore[misc]
        batch_size = BATCH_ROWS

        def __init__(self) -> None:
            self._begin, self._held = 0, np.empty((0, width))

        def __len__(self) -> int:
            return rows

        def __getitem__(self, wanted: Any) -> Array:
            if isinstance(wanted, slice):
                return _read(wanted.start, wanted.stop)
            if not self._begin <= wanted < self._begin + len(self._held):
                self._begin = int(wanted)
                self._held = _read(self._begin, min(self._begin + BATCH_ROWS, rows))
            return np.asarray(self._held[wanted - self._begin])

    def _read(begin: int, end: int) -> Array:
        found = np.fromfile(path, np.float64, (end - begin) * width, offset=begin * width * 8)
        return found.reshape(-1, width)

    return Rows()
