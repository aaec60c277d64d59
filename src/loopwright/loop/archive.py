"""The declared archive: where prediction events are kept, which of them, without which inputs, and for how long."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from loopwright.durations import Duration
from loopwright.loop.fields import Declared

RESERVED = frozenset(
    {
        *("prediction_id", "received_at", "predicted_at", "prediction"),
        *("loop", "model_version", "received_date", "received_hour"),
    }
)
"""The archive's own columns and partitions; an input with such a name would be mistaken for them."""

SCHEMES = ("s3", "gs", "file")


def _place(url: str) -> str:
    scheme, found, rest = url.partition("://")
    if not found:
        if not url or url.startswith(("/", "~")) or ".." in url.split("/"):
            raise ValueError("a folder is named by file:///PATH, or relative to the loop's state folder")
        return url
    if scheme not in SCHEMES:
        raise ValueError(f"the scheme {scheme!r} is not known; there are {', '.join(SCHEMES)}")
    if not rest.strip("/") or (scheme == "file") != rest.startswith("/"):
        raise ValueError("expected s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///PATH")
    if "@" in rest.split("/")[0] or "?" in rest:
        raise ValueError("credentials do not belong here; they are read from the environment (docs/events.md)")
    return url.rstrip("/")


class Archive(Declared):
    """Prediction events kept as Parquet files, for reports and for joins with labels."""

    url: Annotated[str, AfterValidator(_place)] = Field(
        description="Where the files go: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, file:///PATH, or a folder relative to "
        "the loop's state folder. Credentials are read from the environment."
    )
    sample: float = Field(
        1.0, gt=0, le=1, description="The share of predictions that is kept, chosen by a hash of the prediction's id."
    )
    retention: Duration | None = Field(
        timedelta(days=90), description="Files are deleted when all that is in them is this old; null keeps them."
    )
    redact: tuple[str, ...] = Field((), description="Inputs that are dropped before anything is kept.")
    every: Duration = Field(
        timedelta(minutes=5), description="How long events are gathered before a file of them is written."
    )
    spool: int = Field(
        256, ge=1, description="Megabytes of files that may wait on the monitor's disk while the store is away."
    )
