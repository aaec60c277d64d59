"""Sources on real servers: a bucket of an S3 server (versitygw) and a PostgreSQL, which are away or go away."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy
from tests.integration import test_archive_s3 as s3_server
from tests.integration.postgresql import Server

from loopwright.data import snapshots, sources
from loopwright.errors import DataError
from loopwright.loop import Loop
from loopwright.loop.source import Source

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
binary = s3_server.binary
ROWS = 60_000


@pytest.fixture
def bucket(binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[s3_server.Server]:
    """The server, with three files below `events/rows` of its bucket."""
    server = s3_server.Server(binary, tmp_path)
    for name, value in {**s3_server.KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}"}.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "buckets" / "events" / "rows"
    (folder / "old").mkdir(parents=True)
    frame = pd.DataFrame({"a": range(ROWS), "b": [f"value {number} \n of a row" for number in range(ROWS)]})
    frame.head(20_000).to_parquet(folder / "1.parquet", index=False)
    frame.iloc[20_000:40_000].to_csv(folder / "2.csv", index=False)
    frame.tail(20_000).to_csv(folder / "old" / "3.csv.gz", index=False)
    (folder / "notes.txt").write_text("no data")
    (folder / "_4.csv").write_text("half a file")
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        ("s3://events/rows", 60_000),
        ("s3://events/rows/*.csv", 20_000),
        ("s3://events/rows/**/*.csv*", 40_000),
        ("s3://events/rows/1.parquet", 20_000),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_a_bucket_is_read_as_a_folder_is(tmp_path: Path, source: str, rows: int) -> None:
    frame = sources.read(source, tmp_path)
    assert len(frame) == rows
    assert frame["b"].str.endswith("of a row").all()
    if rows == ROWS:
        local = sources.read(str(tmp_path / "buckets" / "events" / "rows"), tmp_path)
        assert snapshots.identify(local) == snapshots.identify(frame)


@pytest.mark.usefixtures("bucket")
def test_what_is_not_there_and_what_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for source, message in (
        ("s3://gone/rows", "s3://gone/rows cannot be read: .*expected a bucket that is there"),
        ("s3://events/gone/", "there is no data at s3://events/gone/"),
        ("s3://events/rows/5.csv", "there is no data at s3://events/rows/5.csv"),
    ):
        with pytest.raises(DataError, match=message):
            sources.read(source, tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-s3cret")
    with pytest.raises(DataError, match="s3://events/rows cannot be read") as caught:
        sources.read("s3://events/rows", tmp_path)
    assert "wrong-s3cret" not in str(caught.value)


def test_a_bucket_that_goes_away_in_the_middle_leaves_no_snapshot(
    bucket: s3_server.Server, small: Loop, tmp_path: Path
) -> None:
    loop = _loop(small, "s3://events/rows/*")

    def dying() -> Iterator[object]:
        for number, part in enumerate(sources.batches(loop.data.source, tmp_path)):
            if number == 0:
                bucket.stop()
            yield part

    with pytest.raises(DataError, match=r"s3://events/rows/.* cannot be read"):
        snapshots.take(dying(), loop, tmp_path / "store", pd.Timestamp.now("UTC"))  # type: ignore[arg-type]
    assert list((tmp_path / "store").glob("*")) == []


def _loop(small: Loop, source: str | Source) -> Loop:
    changed = {"source": source, "timestamp": None, "history": None}
    return small.model_copy(update={"data": small.data.model_copy(update=changed)})


@pytest.mark.parametrize("driver", ["pg8000", "psycopg"])
def test_a_query_of_postgresql_is_read_in_batches_by_both_drivers(
    postgresql: Callable[[], Server], tmp_path: Path, small: Loop, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    server = postgresql()
    url = server.url.replace("psycopg", driver)
    engine = sqlalchemy.create_engine(server.url)
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text(
                "CREATE TABLE rows AS SELECT n AS id, (n / 4.0)::numeric(12, 2) AS price, n % 2 = 0 AS even, "
                "timestamptz '2026-01-01' + n * interval '1 minute' AS at, gen_random_uuid() AS code, "
                "ARRAY[n] AS list, CASE WHEN n > 30000 THEN 'late' END AS note FROM generate_series(1, 50000) AS n"
            )
        )
    engine.dispose()
    monkeypatch.setenv("WAREHOUSE_URL", url)
    source = Source(sql="SELECT * FROM rows WHERE at > '2026-01-01 00:00:30'", url_env="WAREHOUSE_URL")
    parts = list(sources.batches(source, tmp_path))
    assert len(parts) == 3
    frame = sources.read(source, tmp_path, ["id", "price", "note"])
    assert len(frame) == 50_000
    assert frame["price"].sum() == sum(range(1, 50_001)) / 4
    assert frame["note"].notna().sum() == 20_000
    taken = snapshots.take(iter(parts), _loop(small, source), tmp_path / "store", pd.Timestamp.now("UTC"))
    assert taken.snapshot.schema == {
        "at": "time", "code": "string", "even": "boolean", "id": "integer", "list": "string", "note": "string",
        "price": "number",
    }  # fmt: skip

    if driver == "psycopg":
        # Its cursor warns when its server is gone; the driver of our images is the other one.
        return

    def dying() -> Iterator[object]:
        for number, part in enumerate(sources.batches(source, tmp_path)):
            if number == 0:
                server.stop()
            yield part

    with pytest.raises(DataError, match=r"the query of `data\.source` failed"):
        snapshots.take(dying(), _loop(small, source), tmp_path / "other", pd.Timestamp.now("UTC"))  # type: ignore[arg-type]
    assert list((tmp_path / "other").glob("*")) == []
    server.start()


def test_a_wrong_password_is_told_without_it(
    postgresql: Callable[[], Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = postgresql()
    server.ask_for_passwords()
    url = server.url.replace("psycopg", "pg8000").replace("loopwright@", "loopwright:s3cret-one@")
    monkeypatch.setenv("WAREHOUSE_URL", url)
    with pytest.raises(DataError, match=r"password authentication failed.*WAREHOUSE_URL") as caught:
        sources.read(Source(sql="SELECT 1", url_env="WAREHOUSE_URL"), tmp_path)
    assert "s3cret-one" not in str(caught.value)


TAKE = """
import json, resource, sys
from datetime import UTC, datetime
from pathlib import Path
import pandas, pyarrow.csv, pyarrow.parquet
from loopwright.data import snapshots, sources
from loopwright.declaration import parse
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
root, loop = Path(sys.argv[1]), parse(Path(sys.argv[1], "loop.yaml").read_text())
taken = snapshots.take(sources.batches("rows.csv", root), loop, root / "store", datetime.now(UTC))
snapshots.verify(taken.snapshot.path)
print(json.dumps({"rows": taken.snapshot.rows, "kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before}))
"""


def test_a_source_is_copied_and_verified_in_less_memory_than_its_rows_need(
    tmp_path: Path, small_declaration: str
) -> None:
    (tmp_path / "loop.yaml").write_text(small_declaration)
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.integers(0, 10**9, (50_000, 12)), columns=[f"c{number}" for number in range(12)])
    frame["seen"] = "2026-01-01"
    with (tmp_path / "rows.csv").open("w") as stream:
        for number in range(10):
            frame.assign(c0=frame["c0"] + number).to_csv(stream, index=False, header=number == 0)
    result = subprocess.run([sys.executable, "-c", TAKE, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["rows"] == 500_000
    # As a frame of text these rows are about 350 MB.
    assert told["kib"] < 250 * 1024, told["kib"]
