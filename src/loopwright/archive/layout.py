"""Where an archived file is put and what it holds: what the monitor that writes and everything that reads agree on.

A file is `loop=churn/model_version=3/received_date=2026-11-21/received_hour=08/31.250-5f3a9c21d4e8-1200.parquet`: Hive
partitions, as pyarrow, DuckDB, Spark and Athena read them, then when its first event came in that hour, what tells it
from every other one, and its rows, so that counting opens nothing. Times are the loop's, in UTC. All rows of a file
were received in its hour, so that a window is read from the files of its hours only.
"""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

ID, RECEIVED, PREDICTED, PREDICTION, VERSION = (
    "prediction_id", "received_at", "predicted_at", "prediction", "model_version",
)  # fmt: skip
"""The columns beside the inputs: text, two moments in UTC, a number, and the version, which stands in the path only."""
CLASS = "predicted_class"
"""One more of more than two classes: the name of the predicted one, whose probability is then the number."""

HOUR = timedelta(hours=1)
_PATH = re.compile(
    r"loop=(?P<loop>[a-z0-9-]+)/model_version=(?P<version>[A-Za-z0-9][A-Za-z0-9._-]*)"
    r"/received_date=(?P<date>\d{4}-\d\d-\d\d)/received_hour=(?P<hour>\d\d)"
    r"/(?P<name>\d\d\.\d{3}-[0-9a-f]{12}-(?P<rows>\d+)\.parquet)"
)


@dataclass(frozen=True, order=True)
class Key:
    """What a file's path says: whose rows it holds, how many, and in which hour they were received."""

    loop: str
    version: str
    hour: datetime
    name: str
    rows: int

    @classmethod
    def new(cls, loop: str, version: str, first: datetime, rows: int) -> Self:
        """The key of a new file of rows, the first of which was received at `first`."""
        hour = first.replace(minute=0, second=0, microsecond=0)
        minutes = (first - hour).total_seconds() / 60
        # Cut, not rounded: the last instant of an hour is not in minute 60.
        name = f"{int(minutes * 1000) / 1000:06.3f}-{secrets.token_hex(6)}-{rows}.parquet"
        return cls(loop, version, hour, name, rows)

    @classmethod
    def read(cls, path: str) -> Self | None:
        """The key that a path says; None for what is no file of an archive."""
        found = _PATH.fullmatch(path)
        if found is None:
            return None
        hour = datetime.fromisoformat(f"{found['date']}T{found['hour']}:00:00").replace(tzinfo=UTC)
        return cls(found["loop"], found["version"], hour, found["name"], int(found["rows"]))

    @property
    def path(self) -> str:
        """Where the file is, below the archive's URL."""
        hour = f"received_date={self.hour:%Y-%m-%d}/received_hour={self.hour:%H}"
        return f"loop={self.loop}/model_version={self.version}/{hour}/{self.name}"

    @property
    def end(self) -> datetime:
        """When its hour is over: everything in it was received before."""
        return self.hour + HOUR


def prefix(loop: str, version: str | None = None, date: str | None = None) -> str:
    """The folder of a loop, of a version of it, or of a day of a version."""
    parts = [f"loop={loop}", version and f"model_version={version}", version and date and f"received_date={date}"]
    return "".join(f"{part}/" for part in parts if part)
