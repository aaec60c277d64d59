"""Rows from a database, by a query, batch by batch.

The database's URL holds a password: it comes from an environment variable, and no message, log or entry repeats it.
"""

import decimal
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from loopwright.data import tables
from loopwright.errors import DataError
from loopwright.settings import redacted

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy.engine import Engine

BATCH_ROWS = 20_000
# What SQLAlchemy would take for a parameter; a query of loop.yaml has none, but it may have '10:30'.
_BIND = re.compile(r"(?<![:\w\\]):(?=\w)")


def batches(query: str, url_env: str, columns: Sequence[str] | None = None) -> Iterator["pa.Table"]:
    """The query's rows as plain tables, read in one transaction; `columns` is asked of the database, not read past.

    Raises DataError when the variable is not set, the database does not answer or refuses, or the query is wrong.
    """
    url = os.environ.get(url_env, "").strip()
    if not url:
        raise DataError(
            f"the environment variable {url_env} is not set",
            expected="the SQLAlchemy URL of the database, such as postgresql+pg8000://user:password@host/name",
            do=f"set {url_env}; on a cluster from a Secret (`extraEnv` of the chart)",
        )
    return _batches(query, url, url_env, columns)


def _batches(query: str, url: str, url_env: str, columns: Sequence[str] | None) -> Iterator["pa.Table"]:
    import sqlalchemy as sql

    engine = _engine(url)
    text = query.strip().rstrip(";")
    if columns:
        quote = engine.dialect.identifier_preparer.quote_identifier
        text = f"SELECT {', '.join(map(quote, columns))} FROM ({text}) AS loopwright_rows"  # noqa: S608
    try:
        with engine.connect() as connection:
            streamed = connection.execution_options(stream_results=True, max_row_buffer=BATCH_ROWS)
            with streamed.execute(sql.text(_BIND.sub(r"\\:", text))) as result:
                names = list(map(str, result.keys()))
                _once(names)
                for rows in result.partitions(BATCH_ROWS):
                    yield tables.plain(_table(names, rows))
    except (sql.exc.SQLAlchemyError, OSError, TypeError) as error:
        # A driver takes options of the URL as arguments, and one that it does not know is a TypeError.
        raise DataError(
            f"the query of `data.source` failed: {_told(error, url)}",
            expected="a database that answers, and a query that it takes",
            do=f"check the query, and the address, user and password in {url_env}",
        ) from None  # what was caught may show the URL
    finally:
        engine.dispose()


def _engine(url: str) -> "Engine":
    import sqlalchemy as sql

    try:
        return sql.create_engine(url)
    except (sql.exc.ArgumentError, sql.exc.NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        what = f"no driver: {error}" if isinstance(error, ModuleNotFoundError) else "it cannot be read"
        raise DataError(
            f"the database's URL is of no use: {redacted(what)}",
            expected="a URL that SQLAlchemy reads, with a driver that is installed (pg8000 is)",
            do="correct the environment variable, or install the driver",
        ) from None  # what was caught may show the URL


def _once(names: Sequence[str]) -> None:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"the query gives the column {repeated[0]!r} more than once", do="name each column once, with AS"
        )


def _table(names: Sequence[str], rows: Sequence[Any]) -> "pa.Table":
    import pyarrow as pa

    return pa.table([_column(list(values)) for values in zip(*rows, strict=True)], names=list(names))


def _column(values: list[Any]) -> "pa.Array":
    """The values as Arrow reads them; what it cannot (ids of their own kind, a column of two types) as text."""
    import pyarrow as pa

    if any(isinstance(value, decimal.Decimal) for value in values):
        # PostgreSQL's NUMERIC may be NaN, which is no value, and infinite, which no whole number is.
        values = [None if value is None or value.is_nan() else value for value in values]
        whole = all(value is None or (value.is_finite() and value == int(value)) for value in values)
        values = [None if value is None else int(value) if whole else float(value) for value in values]
    try:
        if not any(isinstance(value, uuid.UUID) for value in values):
            return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        pass
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _told(error: BaseException, url: str) -> str:
    """What the driver says, in one line, without the password."""
    import sqlalchemy as sql

    cause = getattr(error, "orig", None) or error
    first = cause.args[0] if cause.args else ""
    # pg8000 tells the fields of PostgreSQL's message; M is the text.
    text = str(first.get("M", first)) if isinstance(first, dict) else str(cause)
    text = redacted((text.strip().splitlines() or [type(cause).__name__])[0])[:300]
    password = sql.make_url(url).password
    return text.replace(str(password), "***") if password else text
