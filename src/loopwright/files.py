"""Writing files that appear whole or not at all, and, where that matters, stay when the machine goes down."""

import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace `path` by a file with this text in one step; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"), durable=durable)


def write_bytes(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Replace `path` by a file with this content in one step; a reader sees the old one or the new.

    With `durable` it is on the disk when this returns. Without, a machine that goes down may leave an empty file.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def create_bytes(path: Path, content: bytes) -> bool:
    """Have a new file with this content in one step, on the disk; False where there is one.

    Of several processes one is told True. On a file system without hard links, a reader may see a part of the content.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        write_bytes(temporary, content, durable=True)
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
        except OSError:  # No hard links here, as where a bucket is mounted.
            return _create_in_place(path, content)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def _create_in_place(path: Path, content: bytes) -> bool:
    try:
        stream = path.open("xb")
    except FileExistsError:
        return False
    try:
        with stream:
            stream.write(content)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return True


def write_json(path: Path, value: Mapping[str, Any], *, durable: bool = False) -> None:
    """Replace `path` by a file with this JSON in one step. NaN is refused, as JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, default=str) + "\n", durable=durable)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file."""
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def _sync_folder(folder: Path) -> None:
    """Have a new name in the folder stay; some file systems cannot be asked to."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
