"""What a job is and how far it is, beside its output: the manifest, and a receipt for every partition.

    _loopwright/manifest.json            what the job is; at its end what came of it, too
    part-00003-00000.parquet             predictions of a part of unit 3
    _loopwright/aside/00003-00000.parquet    its rows that break the contract
    _loopwright/parts/00003-00000.json   the receipt, written last: the part is done

Each receipt is a file of its own, so that processes on many machines need no lock. Readers of Parquet folders pass
over names that begin with an underscore.
"""

import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from loopwright.errors import OutputError
from loopwright.scoring.output import Output

HOME = "_loopwright"
MANIFEST = f"{HOME}/manifest.json"
_DIFFERENT = {
    "loop": "the loop", "version": "the version", "digest": "the model's digest", "source": "the input",
    "fingerprint": "the input's files", "contract": "the contract in loop.yaml", "id": "the id column",
    "explain": "--explain", "part_rows": "the rows of a partition",
}  # fmt: skip


class Manifest(BaseModel):
    """What a job is. It is fixed when the job begins, and another one is not mixed into the same output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["loopwright scoring"] = "loopwright scoring"
    format: Literal[1] = 1
    job: str
    begun: str
    loop: str
    version: int
    digest: str
    source: str
    fingerprint: str
    """Of the input: its files' names, sizes and stamps, or its query."""
    contract: str
    """The SHA-256 of the contract that rows are held against."""
    units: int
    rows: int | None
    """The input's rows; None where only reading tells."""
    id: str | None
    """The column that says whose a prediction is; None: the row's number and its file."""
    explain: int
    part_rows: int
    state: Literal["under way", "complete"] = "under way"
    totals: dict[str, Any] = {}
    """At the end: rows, scored, set_aside, broken, missing, drift."""
    partitions: tuple[dict[str, Any], ...] = ()
    """At the end: file, rows, sha256, of each."""


class Receipt(BaseModel):
    """What became of a part of a unit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: str
    """The id of the job that it is of."""
    unit: int
    part: int
    begin: int
    """How many rows of its file are before it."""
    rows: int
    """Rows that were read."""
    scored: int
    set_aside: int
    broken: dict[str, int]
    missing: dict[str, int]
    file: str
    sha256: str
    bytes: int
    last: bool
    """Whether the unit ends with it."""
    input: str | None
    """The SHA-256 of the rows, where a second reading could give others."""
    counts: dict[str, list[int]] | None
    """How many rows were in each bin of the profile; None without a profile."""

    @property
    def name(self) -> str:
        """Where it is kept."""
        return receipt_name(self.unit, self.part)


def receipt_name(unit: int, part: int) -> str:
    return f"{HOME}/parts/{unit:05}-{part:05}.json"


def part_name(unit: int, part: int) -> str:
    """Where a part's predictions are."""
    return f"part-{unit:05}-{part:05}.parquet"


def aside_name(unit: int, part: int) -> str:
    """Where a part's rows are that break the contract."""
    return f"{HOME}/aside/{unit:05}-{part:05}.parquet"


def new_job() -> str:
    """An id for a job."""
    return secrets.token_hex(8)


def read(output: Output) -> Manifest | None:
    """The manifest of the job that an output belongs to; None where there is nothing yet.

    Raises OutputError where there is something else.
    """
    content = output.get(MANIFEST)
    if content is None:
        if found := next(iter(output.sizes()), None):
            raise OutputError(
                f"{output} is not empty: it has {found}",
                expected="nothing there yet, or an output of `loopwright score` to go on with",
                do="name another folder with --output, or move away what is there",
            )
        return None
    return _parsed(output, content)


def _parsed(output: Output, content: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise OutputError(
            f"{output}/{MANIFEST} cannot be read",
            expected="a manifest of format 1",
            do="name another folder with --output",
        ) from error


def different(known: Manifest, wanted: Manifest) -> list[str]:
    """The names of what tells two jobs apart; none for the same job begun twice."""
    return [name for name in _DIFFERENT if getattr(known, name) != getattr(wanted, name)]


def require_same(known: Manifest, wanted: Manifest, output: Output) -> None:
    """Raise OutputError where a job that is to go on is not the one that began the output."""
    if odd := different(known, wanted):
        shown = [f"{_DIFFERENT[name]} ({_short(getattr(known, name))})" for name in odd]
        raise OutputError(
            f"{output} was begun with another: {', '.join(shown)}",
            expected="the same job to go on, "
            + ", ".join(f"not {_DIFFERENT[name]} {_short(getattr(wanted, name))}" for name in odd),
            do="name another folder with --output, or delete this one to begin anew",
        )


def write(output: Output, manifest: Manifest) -> None:
    """Have the manifest there, in the place of one that may be there."""
    output.put(MANIFEST, _content(manifest))


def create(output: Output, manifest: Manifest) -> bool:
    """Have a new job's manifest there; False where another process has begun a job meanwhile."""
    return output.create(MANIFEST, _content(manifest))


def require_own(output: Output, job: str) -> None:
    """Raise OutputError where an output belongs to another job by now, as it may before a job has written anything."""
    content = output.get(MANIFEST)
    if content is not None and _parsed(output, content).job != job:
        raise OutputError(
            f"{output} was begun anew while this job was under way",
            expected="one job an output",
            do="name another folder with --output, or run the command of the job that is there",
        )


def _content(manifest: Manifest) -> bytes:
    return manifest.model_dump_json(indent=1).encode() + b"\n"


def receipts(output: Output, job: str) -> dict[tuple[int, int], Receipt]:
    """All parts of a job that are done, by unit and part. One whose partition is gone or of another size is not."""
    sizes = output.sizes()
    names = [name for name in sizes if name.startswith(f"{HOME}/parts/")]
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(output.get, names))
    found = {}
    for content in contents:
        try:
            one = Receipt.model_validate_json(content or b"")
        except ValidationError:
            # A machine that went down in the middle: the part is done again.
            continue
        if one.job == job and sizes.get(one.file) == one.bytes:
            found[one.unit, one.part] = one
    return found


def by_unit(done: Mapping[tuple[int, int], Receipt]) -> dict[int, dict[tuple[int, int], Receipt]]:
    """The same receipts, those of each unit together."""
    units = dict[int, dict[tuple[int, int], Receipt]]()
    for key, one in done.items():
        units.setdefault(one.unit, {})[key] = one
    return units


def complete(done: Mapping[tuple[int, int], Receipt]) -> set[int]:
    """The units of which all parts are done."""
    return {unit for unit, parts in by_unit(done).items() if _whole(unit, parts)}


def _whole(unit: int, parts: Mapping[tuple[int, int], Receipt]) -> bool:
    last = next((one.part for one in parts.values() if one.last), None)
    return last is not None and all((unit, part) in parts for part in range(last + 1))


def summed(done: Sequence[Receipt]) -> dict[str, Any]:
    """Receipts together: rows, scored, set_aside, broken, missing, and counts by the profile's names."""
    broken, missing = Counter[str](), Counter[str]()
    for one in done:
        broken.update(one.broken)
        missing.update(one.missing)
    return {
        "rows": sum(one.rows for one in done),
        "scored": sum(one.scored for one in done),
        "set_aside": sum(one.set_aside for one in done),
        "broken": dict(broken.most_common()),
        "missing": dict(missing.most_common()),
    }


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 and text.isalnum() else text[:80]


def dumps(value: Mapping[str, Any]) -> str:
    """As it stands in a digest."""
    return json.dumps(value, sort_keys=True, default=str)
