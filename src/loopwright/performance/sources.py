"""Labels from where a team keeps them: CSV and Parquet files, or a query of a database."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loopwright.data import sources
from loopwright.errors import DataError
from loopwright.loop.source import SCHEMES, Source

if TYPE_CHECKING:
    import pandas as pd


def read(
    source: str | Source, root: Path, columns: Sequence[str], query: str = "", *, others: bool = False
) -> "pd.DataFrame":
    """The rows of a source as loop.yaml has it, or of `query` on a database that SQLAlchemy has a driver for.

    They have `columns`, and with `others` whatever else there is.

    Raises DataError when the source cannot be read, or does not have the columns. The error of a database is told
    without its URL, which may hold a password.
    """
    if isinstance(source, Source) or source.partition("://")[0] in SCHEMES or "://" not in source:
        if query:
            raise DataError(f"a query goes with the URL of a database; {source} is none", expected="postgresql://...")
        return _checked(sources.read(source, root, None if others else columns), columns, "the source", others)
    return _checked(_query(source, query), columns, "the query", others)


def _checked(frame: "pd.DataFrame", columns: Sequence[str], what: str, others: bool) -> "pd.DataFrame":
    if missing := [name for name in columns if name not in frame.columns]:
        raise DataError(
            f"{what} gives no column {', '.join(missing)}",
            expected=f"columns {', '.join(columns)}",
            do="name them in the query with AS" if what == "the query" else "name them so",
        )
    return frame if others else frame[list(columns)]


def _query(url: str, query: str) -> "pd.DataFrame":
    import pandas as pd
    import sqlalchemy as sql

    if not query:
        raise DataError("a database needs a query", expected='--query "SELECT id, label FROM ..."')
    try:
        engine = sql.create_engine(url)
    except (sql.exc.ArgumentError, sql.exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise DataError(
            f"there is no driver for this database: {error}", expected="a URL that SQLAlchemy reads", do="install it"
        ) from None  # what was caught shows the URL
    try:
        with engine.connect() as connection:
            return pd.read_sql_query(sql.text(query), connection)
    except sql.exc.SQLAlchemyError as error:
        found = str(error.__cause__ or error).splitlines()[0]
        raise DataError(f"the labels' query failed: {found}", do="check the query and the database") from error
    finally:
        engine.dispose()
