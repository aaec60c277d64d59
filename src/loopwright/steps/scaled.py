"""Train a model by several processes, none of which holds all rows: what `scale` in loop.yaml asks for.

    training parts -> what the model sees, learnt of each and merged -> rows of each worker, encoded on its disk
                   -> LightGBM, all workers together -> the bundle that one process alone writes

This process holds labels, times and predictions of all rows, 8 bytes each, and of the inputs a column at a time.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwright.data import splits
from loopwright.errors import RunError
from loopwright.loop import Loop
from loopwright.models import bundle, columns, parted
from loopwright.models import features as code
from loopwright.models.choices import Choices
from loopwright.models.course import Course, course_of
from loopwright.models.features import FeatureSpec
from loopwright.models.fit import Fitted, check_target
from loopwright.models.losses import MOST_ROWS
from loopwright.models.parted import Sight
from loopwright.scale.outcome import Group, LostError
from loopwright.scale.parts import Array, Columns, Part, at, head, parts, share
from loopwright.scale.spread import spread
from loopwright.scale.workers import Workers
from loopwright.steps.evaluate import target
from loopwright.steps.trained import expected, profile_of, seasons_kept, write

if TYPE_CHECKING:
    import pandas as pd

_ROWS = "rows-"


def train(
    loop: Loop, features: str, training: Path, holdout: Path, model: Path, *, beside: bool = False
) -> dict[str, Any]:
    """As `steps.train.train`, with the workers of `scale`; the same bundle, and facts that name them.

    Raises RunError where the workers are not there, or were lost more often than it is tried; nothing is written then.
    """
    assert loop.scaled is not None
    began, sight = time.monotonic(), Sight(columns.specs(loop.inputs), features)
    some, unseen = parts(training), parts(holdout)
    rows, held = _thin(loop, some), _thin(loop, unseen)
    classes = splits.classes(rows, loop)
    wanted = target(loop, rows, classes)
    choices = _weighed(Choices.of(loop.model, classes), np.asarray(wanted, dtype=np.float64), loop.model.task)
    with spread(loop.scaled, beside=beside) as workers:
        assert isinstance(workers, Workers)
        workers.require_seen(training, holdout)
        specs = parted.merged(workers.map(partial(_specs, sight), some))
        course = course_of(
            loop.model.task, loop.model.parameters, loop.model.seed, specs, len(rows), loop.scaled.threads,
            loop.gates.monotone, choices,
        )  # fmt: skip
        # A worker more than there are parts would have few rows, and is not worth its part in each split.
        job = Job(
            loop.to_json(), sight, specs, tuple(classes), choices, course, tuple(some), min(workers.count, len(some))
        )
        text = workers.together(partial(_trained, job))
        predicted = np.concatenate(list(workers.map(partial(_predicted, sight, specs, text, choices.classes), unseen)))
    import lightgbm

    fitted = Fitted(loop.model.task, lightgbm.Booster(model_str=text), choices.classes)
    matrix: Any = Held(unseen, sight, specs)
    if len(matrix) <= MOST_ROWS:
        # Of more only some rows are asked for, by their places.
        matrix = matrix[np.arange(len(matrix))]
    profile = profile_of(
        loop, classes, rows, held, lambda frame: predicted[frame.index], partial(_reference, sight, some), wanted
    )
    contents = {
        **fitted.dump(),
        **expected(loop, fitted, specs, held, matrix, lambda: predicted, classes, loop.scaled.threads),
        bundle.EXAMPLE: json.dumps(columns.to_rows(sight.raw(head(some, 3)), 3), indent=1).encode(),
    }
    digest = write(loop, features, classes, specs, profile, contents, loop.scaled.threads, model)
    return {
        "estimator": loop.model.estimator,
        "rows": len(rows),
        "features": len(specs),
        "digest": digest,
        "scale": {**workers.facts(), "workers": job.count},
        **seasons_kept(profile),
        "seconds": round(time.monotonic() - began, 3),
    }


@dataclass(frozen=True)
class Job:
    """What each worker is told of the training."""

    loop: str
    sight: Sight
    specs: tuple[FeatureSpec, ...]
    classes: tuple[Any, ...]
    choices: Choices
    course: Course
    parts: tuple[Part, ...]
    count: int
    """Workers that each train on a share of every part."""


def _trained(job: Job, group: Group) -> str:
    """One attempt of a group of workers; the model's text. Rows are encoded by all before the first one trains."""
    try:
        folders = group.run(_prepare, [(job, rank) for rank in range(job.count)])
    except OSError as error:
        needed = 8 * len(job.specs) * sum(part.rows for part in job.parts) / job.count
        raise RunError(
            f"a Dask worker cannot write its encoded rows: {error}",
            expected=f"{needed / 1e6:,.0f} MB free for each worker (8 bytes a row and feature)",
            do="give room to the workers' folders: their --local-directory, or TMPDIR of the step that starts them",
        ) from error
    ports = group.run(parted.free_port, [()] * job.count)
    others = [f"{host}:{port}" for host, port in zip(group.hosts, ports, strict=False)]
    width = len(job.specs)
    try:
        told = group.run(
            parted.train, [(folder, job.course, width, others, rank) for rank, folder in enumerate(folders)]
        )
    except ConnectionError as error:
        raise LostError(f"the Dask workers did not find each other: {error}") from error
    if told[0] is None:
        raise RunError("the first worker gave no model")
    return told[0]


def _prepare(job: Job, rank: int) -> Path:
    """Runs on a worker: its rows, encoded, into a folder of its own that ends with it."""
    from distributed import get_worker

    loop, place = Loop.from_json(job.loop), Path(get_worker().local_directory)
    # An attempt before this one may have ended between the two; only one trains here at a time.
    for old in place.glob(f"{_ROWS}*"):
        shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_ROWS, dir=place))
    parted.prepare(
        folder,
        (frame for part in job.parts if len(frame := _share(job, part, rank, loop.model.seed))),
        lambda frame: job.sight.matrix(frame, job.specs),
        lambda frame: target(loop, frame, job.classes),
        job.choices.weights,
    )
    return folder


def _share(job: Job, part: Part, rank: int, seed: int) -> "pd.DataFrame":
    return part.read()[share(part, rank, job.count, seed)].reset_index(drop=True)


def _specs(sight: Sight, part: Part) -> tuple[FeatureSpec, ...]:
    return code.fit_spec(sight.derived(part.read()))


def _predicted(sight: Sight, specs: tuple[FeatureSpec, ...], text: str, classes: int, part: Part) -> Array:
    return Fitted("", _booster(text), classes).predict(sight.matrix(part.read(), specs))


@lru_cache(maxsize=1)
def _booster(text: str) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=text)


def _weighed(choices: Choices, wanted: Array, task: str) -> Choices:
    """The choices with the weights that balanced classes have by all rows: a worker sees its own rows only."""
    check_target(task, wanted, choices.classes)
    choices.check(wanted)
    if choices.class_weight != "balanced":
        return choices
    each = choices.weights(wanted)
    assert each is not None
    return replace(choices, class_weight=tuple(float(each[wanted == place][0]) for place in range(choices.classes)))


def _thin(loop: Loop, some: Sequence[Part]) -> "pd.DataFrame":
    """Of all rows what is looked at together: label, time, entity."""
    import pandas as pd

    data = loop.data
    names = [name for name in dict.fromkeys((data.label.column, data.timestamp, data.entity)) if name is not None]
    return pd.concat([part.read(names) for part in some], ignore_index=True)


def _reference(sight: Sight, some: Sequence[Part], newest: "pd.DataFrame") -> Columns:
    """The inputs of some of the training rows, by their places; each is read when it is asked for."""
    import pandas as pd

    kept = newest.index.to_numpy()
    whole = len(kept) == sum(part.rows for part in some)

    def read(name: str) -> Array:
        values = pd.concat([part.read([name]) for part in some], ignore_index=True)
        spec = [one for one in sight.inputs if one.name == name]
        return columns.from_frame(spec, values if whole else values.loc[kept])[name]

    return Columns([spec.name for spec in sight.inputs], read)


class Held:
    """The matrix of the held-out rows, read and encoded for the rows that are asked for."""

    def __init__(self, some: Sequence[Part], sight: Sight, specs: Sequence[FeatureSpec]) -> None:
        self._parts, self._sight, self._specs = some, sight, specs

    def __len__(self) -> int:
        return sum(part.rows for part in self._parts)

    def __getitem__(self, places: Array) -> Array:
        found = np.empty((len(places), len(self._specs)))
        for here, frame in at(self._parts, places):
            found[here] = self._sight.matrix(frame, self._specs)
        return found
