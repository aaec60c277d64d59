"""Where rows come from: a path or URL as text, or a mapping for a query of a database or a function."""

from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from loopwright.loop.fields import Declared

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "http", "https", "file")
"""The URLs of files and buckets that are read."""


class Source(Declared):
    """Rows that are in no file: the answer to a query of a database, or what a function gives."""

    sql: str | None = Field(None, min_length=1, description="A query; its rows are read in one transaction.")
    url_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="With `sql`: the environment variable with the database's SQLAlchemy URL. The URL has a password, "
        "so it never stands here; on a cluster the variable comes from a Secret.",
    )
    python: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="`module:function`, in the loop's folder or installed: it takes nothing and gives a DataFrame, an "
        "Arrow table, or batches of either one after the other.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.sql is None) == (self.python is None):
            raise ValueError("a source has either sql or python")
        if (self.sql is None) != (self.url_env is None):
            raise ValueError("sql and url_env go together: the query, and where the database's URL is")
        return self

    def __str__(self) -> str:
        return f"python {self.python}" if self.python else f"the database of {self.url_env}: {self.sql}"


def _kind(value: Any) -> str:
    return "[source]" if isinstance(value, (dict, Source)) else "[path]"


AnySource = Annotated[
    Annotated[str, Tag("[path]")] | Annotated[Source, Tag("[source]")],
    Discriminator(_kind),
]


def refused(source: str) -> str | None:
    """Why a source's text cannot be one, without repeating it, as it may hold a password; None where it can."""
    scheme, separator, rest = source.partition("://")
    if not separator:
        return None
    if scheme not in SCHEMES:
        return (
            f"source: {scheme[:20]}:// is no URL of files. A database is declared as "
            "{sql: SELECT ..., url_env: NAME}, with its URL in the environment variable NAME"
        )
    if "@" in rest.split("/")[0] and scheme not in ("abfs", "abfss"):
        return "source: a URL has no user and password here; credentials come from the environment"
    return None
