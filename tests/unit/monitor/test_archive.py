"""What the monitor counts is kept: sampled, redacted, in files of an hour, through a store that is away and a crash."""

import asyncio
import logging
import re
import threading
import time
from collections import Counter
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from loopwright.archive import read
from loopwright.archive.store import Store, StoreError
from loopwright.declaration import parse
from loopwright.durations import Clock
from loopwright.loop.archive import Archive as Declared
from loopwright.monitor import archive as module
from loopwright.monitor import exposition
from loopwright.monitor.app import build
from loopwright.monitor.archive import Archive
from loopwright.monitor.archive_rows import sampled
from loopwright.monitor.archive_spool import Spool
from loopwright.monitor.events import Message, check, decode
from loopwright.monitor.state import Monitor

# 2026-11-20 09:00 UTC.
NINE = 1_795_165_200.0
DAY = (datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))


class Away:
    """A stand-in for a store that takes nothing until it is told to, and then hands on to a real one."""

    def __init__(self, store):
        self.url, self.away, self._store = store.url, True, store

    def put(self, key, content):
        if self.away:
            raise StoreError("no route to host")
        self._store.put(key, content)


class Kept:
    """An archive in a folder with batches of version 1."""

    def __init__(self, folder, profile, message, *, megabytes=256, clock=None, away=False, **declared):
        self.url, self.message, self.profile = f"file://{folder}/events", message, profile
        declared = Declared(url=self.url, **declared)
        self.spool = Spool(folder / "spool", megabytes)
        store = Store(self.url, make=True)
        self.store = Away(store) if away else store
        self.archive = Archive(declared, "churn", clock or Clock(), self.store, self.spool, tick=0.01)

    def add(self, at=NINE, **options):
        message = decode(msgspec.msgpack.encode(self.message(**options)))
        self.archive.add(check(message, self.profile), self.profile, at)

    def ship(self):
        self.archive.flush()
        return asyncio.run(self.archive.ship())

    def rows(self, window=DAY, **options):
        batches = read(self.url, loop="churn", start=window[0], end=window[1], **options)
        return [row for batch in batches for row in batch.to_pylist()]

    def outcomes(self):
        return {outcome: number for outcome, number in self.archive.rows.items() if number}


@pytest.fixture
def kept(tmp_path, profile, message):
    def make(**options):
        return Kept(tmp_path, profile, message, **options)

    return make


def test_rows_come_back_as_they_were_predicted(kept, message):
    one = kept()
    one.add(n=3, at=NINE + 0.25)
    assert one.rows() == []
    assert one.archive.gathered == 3
    assert one.ship()
    sent, rows = message(n=3), one.rows()
    assert [row["prediction_id"] for row in rows] == sent["ids"]
    assert [row["prediction"] for row in rows] == sent["predictions"]
    assert [row["age"] for row in rows] == sent["columns"]["age"]
    assert [row["plan"] for row in rows] == sent["columns"]["plan"]
    assert {row["received_at"] for row in rows} == {datetime(2026, 11, 20, 9, 0, 0, 250_000, tzinfo=UTC)}
    assert {row["predicted_at"] for row in rows} == {datetime.fromtimestamp(1.7e9, UTC)}
    assert {row["model_version"] for row in rows} == {"1"}
    assert one.outcomes() == {"stored": 3}
    assert (one.archive.gathered, one.spool.files) == (0, 0)


def test_missing_and_odd_values_are_kept_as_they_are_counted(kept):
    one = kept()
    columns = {"age": [None, float("inf"), 3, ""], "plan": [None, "", 7, True]}
    one.add(columns=columns, predictions=[float("nan"), 0.5, float("-inf"), 1.0], at=NINE)
    assert one.ship()
    rows = one.rows()
    assert [row["plan"] for row in rows] == [None, None, "7", "True"]
    assert [str(row["age"]) for row in rows] == ["nan", "inf", "3.0", "nan"]
    assert [str(row["prediction"]) for row in rows] == ["nan", "0.5", "-inf", "1.0"]


@pytest.mark.parametrize("at", [0.0, -5.0, float("nan"), float("inf"), 1e300])
def test_a_senders_clock_that_is_no_time_is_left_out_and_moves_no_row(kept, at):
    one = kept()
    one.add(at=NINE)
    batch = check(Message(**one.message(n=1, first=9, at=at)), one.profile)
    one.archive.add(batch, one.profile, NINE)
    assert one.ship()
    assert one.rows()[-1]["prediction_id"] == "p9"
    assert one.rows()[-1]["predicted_at"] is None


def test_redacted_inputs_are_in_no_file_and_not_in_memory(kept, tmp_path):
    one = kept(redact=("plan",), away=True)
    one.add(n=50)
    one.archive.flush()
    files = list(tmp_path.rglob("*.parquet"))
    assert len(files) == 1
    assert b"premium" not in files[0].read_bytes()
    one.store.away = False
    assert one.ship()
    assert set(one.rows()[0]) == {
        "prediction_id", "received_at", "predicted_at", "prediction", "age", "model_version",
    }  # fmt: skip


def test_an_input_of_a_version_with_the_name_of_a_column_of_the_archive_is_left_out(kept, profile):
    one = kept()
    object.__setattr__(one, "profile", type(profile)(**{**vars(profile), "features": {
        "prediction": profile.features["age"], "plan": profile.features["plan"],
    }}))  # fmt: skip
    one.add(n=2, columns={"prediction": [900.0, 900.0], "plan": ["basic", "basic"]}, predictions=[0.25, 0.5])
    assert one.ship()
    assert [row["prediction"] for row in one.rows()] == [0.25, 0.5]


@pytest.mark.parametrize("pattern", ["{}", "request-{}", "8f14e45f-ceea-467f-a8b5-{:012d}", "{:x}.0"])
def test_a_sample_is_the_declared_share_whatever_ids_look_like(pattern):
    ids = [pattern.format(number) for number in range(20_000)]
    for share in (0.01, 0.1, 0.5):
        # Five standard deviations of a binomial.
        slack = 5 * (share * (1 - share) / len(ids)) ** 0.5
        assert abs(sampled(ids, share).mean() - share) < slack


def test_a_sample_has_the_same_ids_in_every_replica_and_a_larger_one_has_them_too(kept):
    one = kept(sample=0.25)
    one.add(n=400)
    assert one.ship()
    found = {row["prediction_id"] for row in one.rows()}
    ids = one.message(n=400)["ids"]
    assert found == {name for name, keep in zip(ids, sampled(ids, 0.25), strict=True) if keep}
    assert found < {name for name, keep in zip(ids, sampled(ids, 0.5), strict=True) if keep}
    assert one.outcomes() == {"stored": len(found), "not_sampled": 400 - len(found)}


def test_a_file_holds_one_hour_and_one_version(kept, profile):
    one = kept()
    for at, version in ((NINE, "1"), (NINE + 3599.99, "1"), (NINE + 3600, "1"), (NINE + 3600, "2")):
        one.add(at=at, version=version)
    assert one.ship()
    files = list(one.store.files("loop=churn/"))
    assert sorted((file.key.version, file.key.hour.hour, file.key.rows) for file in files) == [
        ("1", 9, 8), ("1", 10, 4), ("2", 10, 4),
    ]  # fmt: skip


def test_times_and_hours_are_the_loops(kept):
    one = kept(clock=Clock(speed=3600.0, origin=NINE))
    one.add(at=NINE + 2.5)
    assert one.ship()
    assert {file.key.hour.hour for file in one.store.files("loop=churn/")} == {11}
    assert one.rows()[0]["received_at"] == datetime(2026, 11, 20, 11, 30, tzinfo=UTC)


def test_a_part_is_written_when_it_is_large_and_all_are_when_they_are_together(kept, monkeypatch):
    monkeypatch.setattr(module, "MOST_OF_A_FILE", 20_000)
    monkeypatch.setattr(module, "MOST_GATHERED", 25_000)
    one = kept(away=True)
    one.add(n=10)
    assert one.spool.files == 0
    one.add(n=100)
    assert (one.spool.files, one.archive.gathered) == (1, 0)
    one.add(n=50, version="2")
    assert (one.spool.files, one.archive.gathered) == (1, 50)
    for version in ("3", "4"):
        one.add(n=50, version=version)
    assert (one.spool.files, one.archive.gathered) == (4, 0)


def test_while_the_store_is_away_files_wait_and_then_all_are_there_once(kept, caplog):
    one = kept(away=True)
    one.add(n=5)
    assert not one.ship()
    one.add(n=5, first=5)
    with caplog.at_level(logging.INFO):
        assert not one.ship()
        assert (one.spool.files, one.outcomes(), one.archive.failed_puts) == (2, {}, 2)
        one.store.away = False
        assert one.ship()
    assert [record.message.removeprefix(f"the store {one.url} ") for record in caplog.records] == [
        "does not take files, which wait on disk: no route to host",
        "takes files again",
    ]
    assert sorted(row["prediction_id"] for row in one.rows()) == [f"p{number}" for number in range(10)]
    assert one.outcomes() == {"stored": 10}


def test_a_process_that_starts_again_ships_what_the_last_one_left(kept):
    one = kept(away=True)
    one.add(n=5)
    one.ship()
    # A file that a crash left half written is none.
    (one.spool._folder / "loop=churn" / "half.part").write_bytes(b"PAR1")
    again = kept()
    assert again.spool.size > 0
    assert again.ship()
    assert len(again.rows()) == 5


def test_a_spool_that_is_full_gives_up_the_oldest_and_counts_it(kept):
    one = kept(megabytes=1, away=True)
    rng = np.random.default_rng(3)
    # 8 bytes that cannot be compressed, for 2 columns: about 0.4 MB a file, so that two have room.
    for number in range(4):
        noise = {"age": rng.random(20_000).tolist(), "plan": ["basic"] * 20_000}
        one.add(n=20_000, first=20_000 * number, columns=noise, predictions=rng.random(20_000).tolist())
        one.archive.flush()
        assert one.spool.size <= 10**6
    lost, waiting = one.outcomes()["spool_full"], 20_000 * one.spool.files
    assert (lost + waiting, one.spool.files > 0) == (80_000, True)
    one.store.away = False
    assert one.ship()
    assert {row["prediction_id"] for row in one.rows()} == {f"p{number}" for number in range(lost, 80_000)}


def test_a_disk_that_takes_no_file_loses_its_rows_and_nothing_else(kept, monkeypatch, caplog):
    one = kept()
    one.add(n=5)

    def full(key, content):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(one.spool, "put", full)
        one.archive.flush()
    assert one.outcomes() == {"disk_error": 5}
    assert "No space left on device" in caplog.text
    one.add(n=2)
    assert one.ship()
    assert one.outcomes() == {"disk_error": 5, "stored": 2}


def test_what_is_due_is_shipped_and_what_is_too_old_is_deleted_in_the_background(kept, monkeypatch):
    monkeypatch.setattr(module, "LEAST_CLEANING", 0.01)
    # A day of the loop takes a tenth of a second.
    origin = time.time()
    one = kept(clock=Clock(speed=864_000.0, origin=origin), every="1s", retention="1d")
    one.add(at=origin)

    async def run():
        jobs = [asyncio.create_task(one.archive.run(lambda: origin + 1)), asyncio.create_task(one.archive.clean())]
        async with asyncio.timeout(10):
            while not one.archive.expired:
                await asyncio.sleep(0.01)
        for job in jobs:
            job.cancel()

    asyncio.run(run())
    assert one.outcomes() == {"stored": 4}
    assert list(one.store.files("loop=churn/")) == []


def test_at_the_end_all_is_shipped_or_stays_on_disk_in_time(kept, caplog):
    one = kept()
    one.add(n=3)
    asyncio.run(one.archive.close(5))
    assert len(one.rows()) == 3

    slow, answered = kept(away=True), threading.Event()
    slow.store.put = lambda key, content: answered.wait(20)
    slow.add(n=3, first=10)

    async def end():
        await slow.archive.close(0.05)
        answered.set()

    asyncio.run(end())
    assert "1 files of events wait on disk" in caplog.text
    assert kept().spool.files == 1


@pytest.fixture
def monitored(loop, profile, kept):
    """A monitor with an archive, and its application."""
    one = kept()
    monitor = Monitor(loop, Clock(), lambda content: None, archive=one.archive)
    monitor.counters.put("1", profile, 0.0)
    return one, monitor, build(monitor, now=lambda: NINE)


def test_events_that_were_acknowledged_are_archived_when_the_monitor_ends(monitored, message):
    one, monitor, app = monitored

    async def run():
        async with app.router.lifespan_context(app):
            batch = check(decode(msgspec.msgpack.encode(message(n=6))), one.profile)
            assert monitor.queue.offer(batch)

    asyncio.run(run())
    assert len(one.rows()) == 6


def test_the_archives_numbers_are_exported(monitored, message):
    one, monitor, _app = monitored
    one.add(n=6)
    text = exposition.render(monitor.samples(Counter()))
    found = dict(re.findall(r"^loopwright_archive_(\S+) (\S+)$", text, re.MULTILINE))
    assert found == {
        'rows_total{loop="churn",outcome="stored"}': "0",
        'rows_total{loop="churn",outcome="not_sampled"}': "0",
        'rows_total{loop="churn",outcome="spool_full"}': "0",
        'rows_total{loop="churn",outcome="disk_error"}': "0",
        'failed_puts_total{loop="churn"}': "0",
        'expired_files_total{loop="churn"}': "0",
        'gathered_rows{loop="churn"}': "6",
        'spool_bytes{loop="churn"}': "0",
    }


def test_a_declared_archive_is_in_the_state_folder_or_where_its_url_says(tmp_path):
    made = module.of(Declared(url="events"), "churn", Clock(), tmp_path / "a state")
    assert made._store.url == f"file://{tmp_path}/a state/events"
    assert (tmp_path / "a state" / "spool" / "churn").is_dir()


DECLARATION = """
monitor:
  archive: {url: "s3://bucket/events", sample: 0.5, redact: [plan], every: 1m}
"""


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("s3://bucket/events", "ftp://host/x", "'ftp' is not known"),
        ("s3://bucket/events", "s3://", "expected s3://BUCKET/PREFIX"),
        ("s3://bucket/events", "file://relative/x", r"file:///PATH"),
        ("s3://bucket/events", "/var/events", "file:///PATH"),
        ("s3://bucket/events", "../events", "relative to the loop"),
        ("s3://bucket/events", "s3://key:secret@bucket/x", "credentials do not belong here"),
        ("[plan]", "[plam]", "redact: plam is no input; there are age, plan"),
        ("0.5", "0", "greater than 0"),
    ],
)
def test_a_declared_archive_that_cannot_be_is_refused(churn_declaration, old, new, text):
    parse(churn_declaration + DECLARATION)
    with pytest.raises(Exception, match=text):
        parse(churn_declaration + DECLARATION.replace(old, new))


def test_an_input_may_not_have_the_name_of_a_column_of_the_archive_unless_it_is_redacted(churn_declaration):
    named = churn_declaration.replace("plan:", "prediction:") + DECLARATION
    with pytest.raises(Exception, match="the input prediction has the name of a column of the archive's own"):
        parse(named.replace("[plan]", "[]"))
    parse(named.replace("[plan]", "[prediction]"))
