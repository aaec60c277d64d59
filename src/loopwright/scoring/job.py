"""One unit scored: batches in, partitions and receipts out. It is all that a process of a job needs to know.

Memory is for a batch of input and for the predictions of one partition, whatever the size of the input.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwright.errors import DataError, OutputError
from loopwright.loop import Loop
from loopwright.models import bundle as bundles
from loopwright.models.columns import Array
from loopwright.models.model import Model
from loopwright.scoring import manifest as manifests
from loopwright.scoring.counts import Tally
from loopwright.scoring.manifest import Receipt
from loopwright.scoring.output import Output
from loopwright.scoring.partition import IdType, parquet
from loopwright.scoring.plan import Unit
from loopwright.scoring.rows import Reader, Rows
from loopwright.statistics.profile import Profile
from loopwright.statistics.several import top

if TYPE_CHECKING:
    import pyarrow as pa

PART_ROWS = 500_000
"""Rows of a partition, at most: about a second's work, and 10 MB of predictions."""
EXPLAINED_ROWS = 10_000
"""The same with explanations, which take a hundred times longer: a line of progress, and little to do again."""
ROW, FILE, VERSION, PREDICTION, DECISION, PROBABILITIES, EXPLANATIONS = (
    "row", "file", "model_version", "prediction", "decision", "probabilities", "explanations"
)  # fmt: skip
OWN = (ROW, FILE, VERSION, PREDICTION, DECISION, PROBABILITIES, EXPLANATIONS)
"""The columns of the predictions beside the id."""

Done = Mapping[tuple[int, int], Receipt]


@dataclass(frozen=True)
class Job:
    """What is scored with what; every process of the job is given the same."""

    loop: Loop
    bundle: Path
    digest: str
    version: int
    output: str
    id: str | None
    explain: int = 0
    part_rows: int = PART_ROWS
    name: str = ""
    """The id in the manifest, which every receipt has; a job that begins without one is given one."""


def columns_of(loop: Loop, bundle: bundles.Bundle, id: str | None) -> list[str]:
    """The columns that are read: the model's inputs, and whose a row is."""
    names = [spec.name for spec in bundle.manifest.inputs]
    return names if id is None or id in names else [*names, id]


class Scorer:
    """A loaded model that scores units."""

    def __init__(self, job: Job) -> None:
        """Load the model. Raises BundleError when it is not what was registered, DataError where it cannot be used."""
        self._job = job
        bundle = bundles.read(job.bundle, job.digest)
        self.model = Model(bundle)
        if job.id in OWN:
            raise DataError(
                f"the id column is called {job.id}, as a column of the predictions is",
                expected=f"another name than {', '.join(OWN)}",
                do="rename it, by a query or in the input, or number the rows with --id row",
            )
        self.model.quicken()
        content = bundle.contents.get(bundles.PROFILE)
        self._profile = None if content is None else Profile.from_json(content)
        self._output = Output(job.output)
        self._columns = columns_of(job.loop, bundle, job.id)
        self._texts = [spec.name for spec in self.model.inputs if spec.kind == "category"]
        self._explain = _explanations(self.model, job.explain) if job.explain else None

    def score(self, unit: Unit, done: Done, tell: Callable[[Receipt], None]) -> None:
        """Score what is not done of a unit; `tell` is given the receipt of each part when it is there to stay."""
        number, ids = -1, IdType(self._job.id, unit.name)
        for number, part, last in _parts(unit.read(self._columns, self._texts), self._job.part_rows):
            batches = ids.seen(part)
            known = done.get((unit.number, number))
            if known is not None:
                self._pass_over(unit, known, batches, last)
                continue
            tell(self._part(unit, number, batches, last, ids))
        if number < 0:
            raise DataError(f"{unit.name} has no rows", expected="at least one below the header", do="check the export")

    def _pass_over(self, unit: Unit, known: Receipt, batches: "Iterator[pa.RecordBatch]", last: "_Last") -> None:
        """Read past a part that is done, to what is not; its rows have to be the same as then."""
        rows, digest = 0, hashlib.sha256()
        for batch in batches:
            rows += batch.num_rows
            if known.input is not None:
                digest.update(batch.serialize())
        if rows != known.rows or known.last != last.true or known.input not in (None, digest.hexdigest()):
            raise OutputError(
                f"{unit.name} gives other rows than when part {known.part} was scored",
                expected="the same rows in the same order, to go on where it stopped",
                do="order the query (ORDER BY), or begin anew in another --output",
            )

    def _part(
        self, unit: Unit, number: int, batches: "Iterator[pa.RecordBatch]", last: "_Last", ids: IdType
    ) -> Receipt:
        begin = unit.begin + number * self._job.part_rows
        reader = Reader(self._job.loop, self.model.inputs)
        tally = None if self._profile is None else Tally(self._profile)
        scored, aside, rows, digest = [], [], 0, hashlib.sha256()
        for batch in batches:
            if not unit.stable:
                digest.update(batch.serialize())
            found = reader(batch)
            if found.aside is not None:
                aside.append(_numbered(found.aside, unit, begin + rows, ~found.kept))
            scored.append(self._predicted(found, unit, begin + rows, tally))
            rows += batch.num_rows
        content, name = parquet(scored, ids.schema(), coded=[VERSION]), manifests.part_name(unit.number, number)
        manifests.require_own(self._output, self._job.name)
        if aside:
            self._output.put(manifests.aside_name(unit.number, number), parquet(aside, coded=[VERSION]))
        self._output.put(name, content)
        kept = sum(one.num_rows for one in scored)
        receipt = Receipt(
            job=self._job.name, unit=unit.number, part=number, begin=begin, rows=rows, scored=kept,
            set_aside=rows - kept,
            broken=dict(reader.broken), missing=dict(reader.missing), file=name,
            sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), last=last.true,
            input=None if unit.stable else digest.hexdigest(),
            counts=None if tally is None else tally.to_dict(),
        )  # fmt: skip
        self._output.put(receipt.name, receipt.model_dump_json().encode())
        return receipt

    def _predicted(self, found: Rows, unit: Unit, begin: int, tally: Tally | None) -> "pa.RecordBatch":
        """The predictions of a batch's rows, with whose they are; of no rows where all of them were set aside."""
        import pyarrow as pa

        count = found.batch.num_rows
        width = len(self.model.manifest.features)
        matrix = self.model.matrix(found.columns, found.coded) if count else np.empty((0, width))
        every = self.model.predict_matrix(matrix) if count else np.empty((0, len(self.model.classes)))
        if len(self.model.classes) > 2:
            predictions, places = top(every)
        else:
            predictions = every.reshape(-1)
            places = (predictions >= self.model.threshold).astype(np.intp)
        if tally is not None and count:
            tally.add(found.columns, found.coded, predictions, places)
        told: dict[str, pa.Array] = {}
        if self._job.id is not None:
            told[self._job.id] = _decoded(found.batch.column(self._job.id))
        else:
            told[ROW] = pa.array(begin + np.flatnonzero(found.kept))
            told[FILE] = _repeated(unit.name, count)
        told[VERSION] = pa.array(np.full(count, self._job.version, dtype=np.int32))
        told[PREDICTION] = pa.array(predictions)
        if self.model.task == "classification":
            names = list(map(str, self.model.classes))
            # A probability that is no number decides nothing.
            decided = pa.array(places.astype(np.int32), mask=places < 0)
            told[DECISION] = pa.DictionaryArray.from_arrays(decided, pa.array(names))
            if len(names) > 2:
                each = [pa.array(np.ascontiguousarray(column)) for column in every.T]
                told[PROBABILITIES] = pa.StructArray.from_arrays(each, names=names)
        if self._explain is not None:
            told[EXPLANATIONS] = self._explain(matrix, places)
        return pa.RecordBatch.from_pydict(told)


class _Last:
    """Whether a part is its unit's last; known when it has been read."""

    true = False


def _parts(batches: "Iterator[pa.RecordBatch]", size: int) -> "Iterator[tuple[int, Iterator[pa.RecordBatch], _Last]]":
    """Batches cut into parts of `size` rows, the last one shorter; each has to be gone through before the next."""
    waiting: list[pa.RecordBatch] = []

    def fill() -> bool:
        while not waiting:
            batch = next(batches, None)
            if batch is None:
                return False
            if batch.num_rows:
                waiting.append(batch)
        return True

    def part(last: _Last) -> "Iterator[pa.RecordBatch]":
        room = size
        while room and fill():
            batch = waiting.pop()
            if batch.num_rows > room:
                waiting.append(batch.slice(room))
                batch = batch.slice(0, room)
            room -= batch.num_rows
            yield batch
        last.true = not fill()

    number = 0
    while fill():
        last = _Last()
        yield number, part(last), last
        number += 1


def _numbered(aside: "pa.RecordBatch", unit: Unit, begin: int, mask: Array) -> "pa.RecordBatch":
    """Rows that were set aside, with where they stand."""
    import pyarrow as pa

    where = {
        f"loopwright_{ROW}": pa.array(begin + np.flatnonzero(mask)),
        f"loopwright_{FILE}": _repeated(unit.name, aside.num_rows),
    }
    return pa.RecordBatch.from_pydict({**where, **{name: _decoded(aside.column(name)) for name in aside.schema.names}})


def _decoded(column: "pa.Array") -> "pa.Array":
    return column.dictionary_decode() if hasattr(column, "dictionary") else column


def _repeated(text: str, count: int) -> "pa.DictionaryArray":
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(np.zeros(count, dtype=np.int8), pa.array([text]))


def _explanations(model: Model, most: int) -> Callable[[Array, Array], Any]:
    """The `most` features that add most to each row's raw score, of several classes the decided one's, as a column."""
    from loopwright.models.explain import of_model

    names = np.array([spec.name for spec in model.manifest.features], dtype=object)
    contribute = of_model(model)
    if contribute is None:
        raise DataError(
            f"this version of {model.manifest.estimator} has no explanations, as its bundle has no reference row",
            do="train it again with this release, or leave --explain out",
        )  # fmt: skip

    def explain(matrix: Array, places: Array) -> Any:
        import pyarrow as pa

        found = contribute(matrix)[..., :-1] if len(matrix) else np.empty((0, len(names)))
        if found.ndim == 3:
            found = found[np.arange(len(found)), places]
        count = min(most, len(names))
        order = np.argsort(-np.abs(found), axis=1, kind="stable")[:, :count]
        values = np.take_along_axis(found, order, axis=1).reshape(-1)
        each = pa.StructArray.from_arrays(
            [pa.array(names[order.reshape(-1)], pa.string()), pa.array(values)], names=["feature", "contribution"]
        )
        return pa.ListArray.from_arrays(pa.array(np.arange(len(found) + 1, dtype=np.int32) * count), each)

    return explain
