"""The folder in which files wait for the store: they outlive the monitor's process, and a store that is away.

A file has the path here that it will have in the archive, so that a process that starts needs nothing but the folder
to go on. Files appear whole or not at all. Their sizes are bounded together: the oldest goes first.
"""

import os
from pathlib import Path

from loopwright.archive.layout import Key

MEGABYTE = 10**6


class Spool:
    """Files that wait, oldest first, `size` bytes of them."""

    def __init__(self, folder: Path, most: int) -> None:
        """The folder with what an earlier process left in it; `most` is in megabytes. Raises OSError."""
        self._folder, self._most = folder, most * MEGABYTE
        folder.mkdir(parents=True, exist_ok=True)
        self._waiting: dict[Key, int] = {}
        self._held: Key | None = None
        for path in sorted(folder.rglob("*.parquet")):
            key = Key.read(path.relative_to(folder).as_posix())
            if key is not None:
                self._waiting[key] = path.stat().st_size
        self._waiting = dict(sorted(self._waiting.items(), key=lambda item: (item[0].hour, item[0].name)))

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return sum(self._waiting.values())

    @property
    def files(self) -> int:
        """Files that wait."""
        return len(self._waiting)

    def put(self, key: Key, content: bytes) -> int:
        """Have a file wait; how many rows were given up to make room, its own where it is larger than all the room.

        Raises OSError when the disk does not take it; then nothing of it is left.
        """
        lost = 0
        while self.size + len(content) > self._most:
            # What is on its way to the store is as good as stored.
            oldest = next((one for one in self._waiting if one != self._held), None)
            if oldest is None:
                return lost + key.rows
            lost += oldest.rows
            self.remove(oldest)
        path = self._folder / key.path
        part = path.with_suffix(".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._waiting[key] = len(content)
        return lost

    def oldest(self) -> tuple[Key, bytes] | None:
        """The file that has waited longest. One that somebody took away is forgotten."""
        while self._waiting:
            key = self._held = next(iter(self._waiting))
            try:
                return key, (self._folder / key.path).read_bytes()
            except FileNotFoundError:
                self.remove(key)
        return None

    def remove(self, key: Key) -> None:
        """Forget a file, and the folders that it leaves empty."""
        self._waiting.pop(key, None)
        self._held = None if key == self._held else self._held
        path = self._folder / key.path
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == self._folder:
                break
            try:
                os.rmdir(parent)
            except OSError:
                break
