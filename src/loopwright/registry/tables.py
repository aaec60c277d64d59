"""The versions as MLflow's tables have them, read without MLflow.

`loopwright status` asks which version serves, and the gateway and the trigger ask it as they start; importing MLflow's
client for that takes longer than all else that they do. A reader takes nothing but the columns below, and only from a
database of the schema that they were read in; of any other one, and of what is no database, MLflow is asked.
"""

import os
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from loopwright.registry.version import TAG, ModelVersion

# The revision of the schema (`alembic_version`) that MLflow 3.17 makes; a test holds it against the installed one.
SCHEMA = "dc11669786a5"
# MLflow's only one, where workspaces are not enabled.
WORKSPACE = "default"

_REVISION = sa.text("SELECT version_num FROM alembic_version")
# A deleted version is kept under this stage (MLflow's `STAGE_DELETED_INTERNAL`).
_VERSIONS = sa.text(
    "SELECT version, creation_time, source, run_id, storage_location FROM model_versions"
    " WHERE workspace = :workspace AND name = :name AND current_stage <> 'Deleted_Internal' ORDER BY version"
)
_TAGS = sa.text(
    'SELECT version, "key" AS name, value FROM model_version_tags WHERE workspace = :workspace AND name = :name'
)
_ALIASES = sa.text("SELECT version, alias FROM registered_model_aliases WHERE workspace = :workspace AND name = :name")
_ARTIFACTS = sa.text("SELECT artifact_uri FROM runs WHERE run_uuid = :run")


class Tables:
    """A reader of the registry at a URI. Each answer is None where MLflow has to be asked."""

    def __init__(self, uri: str) -> None:
        # In MySQL a quoted word is a text and no column.
        known = uri.startswith(("sqlite:///", "postgresql")) and "MLFLOW_ENABLE_WORKSPACES" not in os.environ
        self._uri = uri if known else ""
        self._engine: sa.Engine | None = None

    def versions(self, loop: str) -> list[ModelVersion] | None:
        """All versions of a loop's model, the oldest first."""
        if self._missing():
            return []
        # Aliases first: one that moves to a version registered in between is then still where it was.
        found = self._read((_ALIASES, _VERSIONS, _TAGS), workspace=WORKSPACE, name=loop)
        if found is None:
            return None
        aliases, versions, tags = found
        labels: dict[int, dict[str, str]] = defaultdict(dict)
        called: dict[int, list[str]] = defaultdict(list)
        for row in tags:
            labels[row.version][row.name] = row.value
        for row in aliases:
            called[row.version].append(row.alias)
        return [
            ModelVersion(
                number=row.version,
                digest=labels[row.version].get(f"{TAG}digest", ""),
                source=row.source,
                tags=labels[row.version],
                run_id=row.run_id or "",
                created=datetime.fromtimestamp(row.creation_time / 1000, UTC),
                aliases=tuple(sorted(called[row.version])),
                location=row.storage_location or "",
            )
            for row in versions
        ]

    def artifacts(self, run: str) -> Path | None:
        """The folder of a run's artifacts, where it is on this machine."""
        found = None if self._missing() else self._read((_ARTIFACTS,), run=run)
        return folder(found[0][0].artifact_uri) if found and found[0] else None

    def _missing(self) -> bool:
        """Whether the database is a file that is not there; to connect would make it."""
        file = self._uri.removeprefix("sqlite:///") if self._uri.startswith("sqlite:///") else ""
        if not file or file == ":memory:" or "?" in file:
            return False
        try:
            return not Path(file).exists()
        except OSError:  # Whoever may not look there is told so by MLflow.
            return False

    def _read(self, queries: tuple[sa.TextClause, ...], **values: str) -> list[list[sa.Row[tuple[object, ...]]]] | None:
        """The rows of each query, in this order; None where the schema is not the known one or nothing answers."""
        if not self._uri:
            return None
        try:
            self._engine = self._engine or sa.create_engine(self._uri, poolclass=NullPool)
            with self._engine.connect() as connection:
                if connection.execute(_REVISION).scalars().all() != [SCHEMA]:
                    return None
                return [list(connection.execute(query, values)) for query in queries]
        except (SQLAlchemyError, ImportError, ValueError):
            # MLflow's client says what is wrong with it.
            return None


def folder(uri: str) -> Path | None:
    """The folder that a `file:` URI names on this machine; None for any other URI."""
    parts = urlsplit(uri)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" and not parts.netloc else None
