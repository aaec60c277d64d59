"""The declared pushing of metrics, where Prometheus cannot reach the monitor to scrape it."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from loopwright.durations import Duration
from loopwright.loop.fields import Declared

LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class RemoteWrite(Declared):
    """Prometheus remote write: the monitor's metrics, sent as they would be scraped."""

    url: str = Field(
        pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$",
        description="The receiver, such as http://prometheus:9090/api/v1/write. Credentials are read from the "
        "environment.",
    )
    every: Duration = Field(timedelta(seconds=15), description="How often, in real time.")
    labels: dict[LabelName, str] = Field({}, description="Labels of every series beside `job` and `instance`.")
