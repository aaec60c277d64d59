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
    scheme, separator, _ = source.partition("://")
    if not separator:
        return None
    if scheme not in SCHEMES:
        return (
            f"source: {scheme[:20]}:// is no URL of files. A database is declared as "
            "{sql: SELECT ..., url_env: NAME}, with its URL in the environment variable NAME"
        )
    if has_user(source):
        return "source: a URL has no user and password here; credentials come from the environment"
    return None


def has_user(url: str) -> bool:
    """Whether a URL names a user or a password; a secret with a slash in it ends the host, so a colon counts too.

    Azure's `abfss://container@account` is none, and neither is a port or the ARN of an access point.
    """
    scheme, separator, rest = url.partition("://")
    host = rest.split("/")[0]
    if not separator:
        return False
    if host.startswith("arn:"):
        return "@" in host
    if scheme in ("abfs", "abfss"):
        return ":" in host.rpartition("@")[0]
    _, colon, port = host.rpartition(":")
    return "@" in host or bool(colon and not port.isdecimal() and not host.endswith("]"))
