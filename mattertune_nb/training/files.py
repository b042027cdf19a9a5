"""Files that are whole or not there, and lines that are whole or not read."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO


# temporary files are private; what replaces a file is as readable as any other new one
_UMASK = os.umask(0)
os.umask(_UMASK)


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that a reader, or a crash at any moment, sees the old or the new one.

    Parameters
    ----------
    path
        The file to replace.
    write
        Called with the open temporary file, on the same disk.

    Raises
    ------
    OSError
        E.g. where the disk is full; the old file stays and the temporary one is removed.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Replace a text file at once."""
    write_whole(path, lambda file: file.write(text.encode()))


def write_json(path: Path, data: Any) -> None:
    """Replace a JSON file at once."""
    write_text(path, json.dumps(data, indent=1) + "\n")


def append_line(path: Path, data: dict[str, Any]) -> None:
    """Append a record as one line of JSON in a single write, so that lines never mix."""
    line = json.dumps(data, separators=(",", ":")) + "\n"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def read_lines(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Read the whole lines after `offset`, while another process may be writing.

    Returns
    -------
    records
        One dict a line; a torn last line is left for the next call, a damaged one is skipped.
    offset
        Where the next call should begin.
    """
    if not path.exists():
        return [], 0
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    lines = data[:end].splitlines()
    try:
        # in one go, which is several times quicker than line by line
        records = json.loads(b"[" + b",".join(lines) + b"]")
    except ValueError:
        # a crash in the middle of a line leaves one that the next run's first line completes
        records = [record for line in lines if (record := _parsed(line)) is not None]
    return [record for record in records if isinstance(record, dict)], offset + end


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
