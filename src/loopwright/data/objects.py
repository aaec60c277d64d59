"""Objects of a store, as files that Arrow reads, and what is said when a store does not give them."""

import io
import re
from collections.abc import Callable
from typing import Any

from loopwright.errors import DataError


class Object(io.RawIOBase):
    """An object of a store as a file that Arrow takes."""

    def __init__(self, store: Any, name: str) -> None:
        from obstore import open_reader

        self._reader = open_reader(store, name)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return bytes(self._reader.read(None if size < 0 else size))

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())


def fits(pattern: str) -> Callable[[str], bool]:
    """Whether a name fits a glob, in which `*` stays within a folder and `**` does not."""
    parts = [
        "(?:[^/]+/)*" if part == "**/" else "[^/]*" if part == "*" else "[^/]" if part == "?" else
        part.replace("[!", "[^") if part.startswith("[") else re.escape(part)
        for part in re.findall(r"\*\*/|\*|\?|\[[^\]]+\]|[^*?\[]+|\[", pattern)
    ]  # fmt: skip
    return re.compile("".join(parts) + r"\Z").match  # type: ignore[return-value]


def away(source: str, error: Exception) -> DataError:
    """The error of a bucket or an object that cannot be read."""
    told = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return DataError(
        f"{source} cannot be read: {told[:300]}",
        expected="a bucket that is there and may be read with the credentials of the environment",
        do="check the bucket's name, and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL, "
        "or what the provider's own tools read",
    )
