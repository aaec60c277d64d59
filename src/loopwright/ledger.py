"""The append-only record of everything that happened, each entry with its cause.

Entries form one hash chain over all loops of a ledger: an entry's hash is that of the hash before it and of the digest
of its content, and the head row holds the newest, so a changed, missing, reordered or cut-off entry is found by
`verify`. Who knows an entry's two digests can follow the chain past it without its content. The head row is also the
lock that makes concurrent writers wait for each other (SQLite: an immediate transaction; PostgreSQL: SELECT ... FOR
UPDATE).

History, lineage, cool-downs and idempotency are read from here and from nowhere else.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.pool import NullPool

from loopwright.errors import LedgerError, StateError

GENESIS = "0" * 64
CONTENT = ("number", "at", "loop", "kind", "cause", "key", "facts")
"""What an entry's content digest is over, in this order, as a JSON array; `facts` are their JSON text."""

_metadata = sa.MetaData()
_entries = sa.Table(
    "loopwright_ledger",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("loop", sa.String(64), nullable=False, index=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("cause", sa.Integer, nullable=True),
    sa.Column("key", sa.String(200), nullable=True, unique=True),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
_head = sa.Table(
    "loopwright_ledger_head",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)


@dataclass(frozen=True)
class Entry:
    """One thing that happened: when, in which loop, what kind, because of which entry, and the facts."""

    number: int
    at: datetime
    loop: str
    kind: str
    cause: int | None
    key: str | None
    facts: Mapping[str, Any]
    hash: str
    previous: str = ""
    """The hash of the entry before, which `hash` covers; that one may be another loop's."""


class DuplicateEntry(LedgerError):
    """An entry with this key is in the ledger already; `number` is its number."""

    def __init__(self, key: str, number: int) -> None:
        super().__init__(f"the ledger has {key!r} already, as entry {number}")
        self.number = number


class Ledger:
    """A ledger at a SQLAlchemy URL; its tables are made on first use."""

    def __init__(self, url: str) -> None:
        """Raises StateError for what is no such URL, or names a driver that is not installed."""
        self.url = url
        self._engine = _engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _configure_sqlite)
            # pysqlite must not begin transactions by itself: a deferred one lets two writers read the same head.
            sa.event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        self._ready = False

    def append(
        self,
        loop: str,
        kind: str,
        facts: Mapping[str, Any],
        *,
        cause: int | None = None,
        key: str | None = None,
        at: datetime | None = None,
    ) -> Entry:
        """Add an entry and return it.

        `key` may occur once in a ledger: a second entry with it raises DuplicateEntry with the first one's number,
        which is how an intent is claimed by exactly one process. `facts` must be JSON; NaN is refused.
        """
        moment = (at or datetime.now(UTC)).astimezone(UTC)
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
        with self._transaction() as connection:
            head = connection.execute(sa.select(_head).where(_head.c.id == 1).with_for_update()).one()
            if key is not None:
                taken = connection.execute(sa.select(_entries.c.number).where(_entries.c.key == key)).scalar()
                if taken is not None:
                    raise DuplicateEntry(key, taken)
            row = {
                "number": head.number + 1,
                "at": moment.isoformat(timespec="microseconds"),
                "loop": loop,
                "kind": kind,
                "cause": cause,
                "key": key,
                "facts": text,
                "previous": head.hash,
            }
            row["hash"] = _digest(row)
            connection.execute(_entries.insert().values(row))
            connection.execute(_head.update().where(_head.c.id == 1).values(number=row["number"], hash=row["hash"]))
        return Entry(row["number"], moment, loop, kind, cause, key, json.loads(text), row["hash"], head.hash)

    def entries(
        self, loop: str | None = None, *, kind: str | None = None, after: int = 0, newest: int | None = None
    ) -> list[Entry]:
        """Entries in their order: of one loop, of one kind, after a number, or only the newest so many."""
        query = sa.select(_entries).where(_entries.c.number > after)
        if loop is not None:
            query = query.where(_entries.c.loop == loop)
        if kind is not None:
            query = query.where(_entries.c.kind == kind)
        query = query.order_by(_entries.c.number.desc()) if newest else query.order_by(_entries.c.number)
        if newest:
            query = query.limit(newest)
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        return [_entry(row) for row in (reversed(rows) if newest else rows)]

    def get(self, number: int) -> Entry:
        """One entry. Raises LedgerError when there is none."""
        with self._transaction() as connection:
            row = connection.execute(sa.select(_entries).where(_entries.c.number == number)).one_or_none()
        if row is None:
            raise LedgerError(f"the ledger has no entry {number}")
        return _entry(row)

    def causes(self, number: int) -> list[Entry]:
        """The chain of causes that led to an entry, the first cause first, the entry itself last."""
        chain: list[Entry] = []
        following: int | None = number
        while following is not None:
            entry = self.get(following)
            chain.append(entry)
            # A cause is always older than what it caused, so a forged cycle cannot hold us here.
            following = entry.cause if entry.cause is not None and entry.cause < entry.number else None
        return chain[::-1]

    def verify(self) -> int:
        """Follow the chain from the first entry; return how many there are.

        Raises LedgerError that names the first entry which was changed, is missing or out of order.
        """
        with self._transaction() as connection:
            head = connection.execute(sa.select(_head).where(_head.c.id == 1)).one()
            previous, expected = GENESIS, 1
            for row in connection.execute(sa.select(_entries).order_by(_entries.c.number)):
                if row.number != expected:
                    raise _broken(f"entry {expected} is missing: after {expected - 1} comes {row.number}")
                if row.previous != previous:
                    raise _broken(f"entry {row.number} does not follow from entry {row.number - 1}")
                if row.hash not in (_digest(row._asdict()), _former_digest(row._asdict())):
                    raise _broken(f"entry {row.number} ({row.kind}) was changed after it was written")
                previous, expected = row.hash, expected + 1
            if (head.number, head.hash) != (expected - 1, previous):
                raise _broken(f"entry {head.number} is the newest that was written, and entry {expected - 1} is there")
        return expected - 1

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            self._prepare()
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise StateError(
                f"the ledger at {self._engine.url.render_as_string(hide_password=True)} cannot be used: {error.orig}",
                expected="a database that can be reached and written",
                do="check the URL, the permissions, the free space, and that no other process holds it locked",
            ) from error

    def _prepare(self) -> None:
        if self._ready:
            return
        if self._engine.dialect.name == "sqlite" and self._engine.url.database:
            folder = Path(self._engine.url.database).parent
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StateError(
                    f"the ledger's folder {folder} cannot be made: {error.strerror}", do="check its permissions"
                ) from error
        try:
            with self._engine.begin() as connection:
                _metadata.create_all(connection)
                if connection.execute(sa.select(_head.c.id)).first() is None:
                    connection.execute(_head.insert().values(id=1, number=0, hash=GENESIS))
        except (IntegrityError, OperationalError, ProgrammingError):
            # Two processes made the tables at once: the other one was first, which is as good.
            with self._engine.begin() as connection:
                connection.execute(sa.select(_head.c.id)).one()
        self._ready = True


def _engine(url: str) -> sa.Engine:
    # No pool: writers are many short-lived processes, and a forked child must not share a connection.
    try:
        return sa.create_engine(url, poolclass=NullPool)
    except (ModuleNotFoundError, NoSuchModuleError, ArgumentError) as error:
        # The URL may hold a password, so only what names its driver is told.
        driver, _, rest = url.partition("://")
        raise StateError(
            f"the ledger at {driver}://... cannot be opened: {error}" if rest else "the ledger's URL is none",
            expected="a SQLAlchemy URL with a driver that is installed",
            do="write `postgresql+pg8000://user:password@host/name`, or install the driver that the URL names",
        ) from error


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout=30000")
    connection.execute("PRAGMA synchronous=FULL")


def content_digest(row: Mapping[str, Any]) -> str:
    """SHA-256 of an entry's content, in hexadecimal digits, without the hash before it."""
    return _sha256([row[name] for name in CONTENT])


def _digest(row: Mapping[str, Any]) -> str:
    return hashlib.sha256((row["previous"] + content_digest(row)).encode()).hexdigest()


def _former_digest(row: Mapping[str, Any]) -> str:
    """As entries were hashed until November 2026: content and the hash before in one, which no link can show."""
    return _sha256([row[name] for name in (*CONTENT, "previous")])


def _sha256(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def _entry(row: Any) -> Entry:
    return Entry(
        row.number,
        datetime.fromisoformat(row.at),
        row.loop,
        row.kind,
        row.cause,
        row.key,
        json.loads(row.facts),
        row.hash,
        row.previous,
    )


def _broken(found: str) -> LedgerError:
    return LedgerError(
        f"the ledger does not verify: {found}",
        expected="every entry unchanged, in order, and none missing",
        do="compare with a backup; entries before that one are as they were written",
    )
