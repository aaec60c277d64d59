"""What the registry holds: a version as it is read, and a judged model as it is handed in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

TAG = "loopwright."
"""What our tags begin with."""
EVALUATION = "evaluation.json"
"""What a version was judged by, among the artifacts of its run."""


@dataclass(frozen=True)
class ModelVersion:
    """One registered version: its number, its bundle's digest and what is known of it."""

    number: int
    digest: str
    source: str
    tags: Mapping[str, str]
    run_id: str
    created: datetime
    aliases: tuple[str, ...] = ()
    location: str = ""
    """The URI of the folder with the model's artifacts; empty where only MLflow can say it."""

    @property
    def entry(self) -> int | None:
        """The ledger entry of the judgement that led to the registration."""
        number = self.tags.get(f"{TAG}entry")
        return int(number) if number else None

    @property
    def approved(self) -> bool:
        """Whether the version may be rolled out."""
        return self.tags.get(f"{TAG}approval") == "approved"

    @property
    def waiting(self) -> bool:
        """Whether the version waits for a person, by the registry."""
        return self.tags.get(f"{TAG}approval") == "waiting"

    @property
    def archived(self) -> bool:
        """Whether the version is only kept for the record."""
        return f"{TAG}archived" in self.tags


@dataclass(frozen=True)
class Submission:
    """What `Registry.register` stores of one trained and judged model."""

    bundle: Path
    digest: str
    evaluation: Mapping[str, Any]
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    snapshot: str
    passed: bool
    example: "pd.DataFrame"
    output: Any
