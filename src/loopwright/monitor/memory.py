"""What the recent reference keeps over a restart: one small file in the state folder, written whole.

A file, as the monitor has a folder of its own anyway (the archive's spool is there): Prometheus need not be there, and
would give the sum of all replicas where one is needed; the archive is optional, sampled, and has rows, not counts. A
pod's folder is gone with the pod: its successor begins anew, and is silent for a span. A file that cannot be read or
written costs the recent reference its past, and nothing else.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopwright.files import write_text
from loopwright.monitor.counters import MOST_VERSIONS
from loopwright.monitor.recent import Recent
from loopwright.statistics.profile import Profile

FORMAT = 1
LEAST_APART = 300.0
"""Real seconds between two writes: so much is lost when the process is killed."""

log = logging.getLogger(__name__)


class Memory:
    """The file of one loop's monitor."""

    def __init__(self, path: Path) -> None:
        self._path, self._written = path, -LEAST_APART
        self._found: dict[str, Any] = {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            self._found = dict(content["versions"]) if content["format"] == FORMAT else {}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("recent traffic in %s cannot be read, and is counted anew: %s", path, error)

    def recall(self, version: str, profile: Profile, recent: Recent, at: float) -> None:
        """Restore what is known of a version, if it has the same profile."""
        found = self._found.get(version)
        if not isinstance(found, dict) or found.get("profile") != _digest(profile):
            return
        try:
            recent.restore(found, at)
        except ValueError as error:
            log.warning("recent traffic of version %s is counted anew: %s", version, error)

    def keep(self, versions: Mapping[str, tuple[Profile, Recent]], at: float, *, now: bool = False) -> None:
        """Write down all versions at the real moment `at`, if it is time or `now`."""
        if not now and at - self._written < LEAST_APART:
            return
        self._written = at
        known = {name: {"profile": _digest(one), **recent.to_dict()} for name, (one, recent) in versions.items()}
        # A version whose profile has not come again yet is not forgotten for it.
        content = dict(list({**self._found, **known}.items())[-MOST_VERSIONS:])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps({"format": FORMAT, "versions": content}, separators=(",", ":")))
        except OSError as error:
            log.warning("recent traffic cannot be kept in %s: %s", self._path, error.strerror or error)


def _digest(profile: Profile) -> str:
    return hashlib.sha256(profile.to_json().encode()).hexdigest()
