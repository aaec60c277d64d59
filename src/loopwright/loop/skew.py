"""The declared comparison of what the model was asked with what the offline store holds of the same entities."""

from pydantic import Field, field_validator

from loopwright.durations import Duration
from loopwright.loop.fields import Declared, Share


class Skew(Declared):
    """Training-serving skew: the same entity's inputs from both sides, as `loopwright skew` compares them."""

    source: str | None = Field(
        None,
        description="Where the inputs lie offline, by entity and timestamp: a CSV or Parquet file, a folder or a glob; "
        "default `data.source`. For a database give --offline and --query.",
    )
    max_age: Duration | None = Field(
        None, description="An offline row older than this at the prediction is not compared; default any."
    )
    tolerance: float = Field(
        1e-6, ge=0, lt=1, description="Numbers that differ relatively by no more than this are the same."
    )
    max_share: Share = Field(0.01, description="The share of rows in which an input may differ.")
    max_share_of: dict[str, Share] = Field({}, description="The same for single inputs, by their names.")

    @field_validator("source")
    @classmethod
    def _file(cls, source: str | None) -> str | None:
        if source is not None and "://" in source:
            # It may hold a password, which has no place in a declaration.
            raise ValueError("expected a file, a folder or a glob; the URL of a database is given by --offline")
        return source
