"""An archive in a folder, written as the monitor writes it."""

import io
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loopwright.archive.layout import Key
from loopwright.archive.store import Store

NINE = datetime(2026, 11, 20, 9, tzinfo=UTC)


class Place:
    """A folder and what the tests put there."""

    def __init__(self, folder):
        self.folder, self.url = folder, f"file://{folder}"
        folder.mkdir()

    @property
    def store(self):
        return Store(self.url)

    def write(self, first, rows, version="1", loop="churn", step=timedelta(minutes=1), **inputs):
        """A file of rows that were received a step apart from `first` on."""
        moments = [first + number * step for number in range(rows)]
        table = pa.table(
            {
                "prediction_id": [f"{version}-{moment:%d%H%M}" for moment in moments],
                "received_at": pa.array(moments, pa.timestamp("us", tz="UTC")),
                "prediction": [number / rows for number in range(rows)],
                **inputs,
            }
        )
        stream = io.BytesIO()
        pq.write_table(table, stream)
        key = Key.new(loop, version, first, rows)
        path = self.folder / key.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stream.getvalue())
        return key


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "events")
