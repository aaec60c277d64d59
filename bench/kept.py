"""What a measurement has found so far, so that an interrupted one goes on where it stopped."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Kept:
    """What was found so far, by experiment; written after each, and deleted when all is done."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        self._path = path
        self._found: dict[str, Any] = {} if fresh or not path.exists() else json.loads(path.read_text())

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """What was found of an experiment, which is made where there is nothing."""
        if key not in self._found:
            started = time.process_time()
            self._found[key] = make()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(self._found))
            print(f"{time.process_time() - started:6.0f} s  {key}", file=sys.stderr, flush=True)
        return self._found[key]

    def done(self) -> None:
        """Forget it: the next run begins anew."""
        self._path.unlink(missing_ok=True)
