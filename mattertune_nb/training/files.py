"""Files that are complete or absent, and lines that are complete or ignored."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mattertune_nb.config.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from ase import Atoms


_UNFINISHED = ".unfinished"
_EXTENDED_XYZ = (".xyz", ".extxyz", "")
_MAKING_SECONDS = 60.0

# temporary files are private; make the replacement as readable as any other new file
_UMASK = os.umask(0)
os.umask(_UMASK)


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that a reader, or a crash at any moment, sees either the old or the new one.

    Parameters
    ----------
    path
        The file to replace.
    write
        Called with the open temporary file, on the same disk.

    Raises
    ------
    OSError
        E.g. the disk is full; the old file stays and the temporary one is removed.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=_UNFINISHED)
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


def remove_unfinished(folder: Path) -> None:
    """Remove what :func:`write_whole` left in a folder when its process was killed."""
    for path in folder.glob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """Create a folder under another name, and rename it once it is complete.

    Parameters
    ----------
    path
        The folder, which must not exist.

    Raises
    ------
    FileExistsError
        The folder exists.
    """
    for left in path.parent.glob(f".*{_UNFINISHED}"):
        if time.time() - left.stat().st_mtime > _MAKING_SECONDS:
            shutil.rmtree(left, ignore_errors=True)  # its process was killed
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    folder = path.with_name(f".{path.name}-{os.getpid()}-{time.time_ns()}{_UNFINISHED}")
    folder.mkdir()
    try:
        yield folder
        try:
            folder.rename(path)
        except OSError as exc:
            if path.exists():  # made by another process in the meantime
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from exc
            raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def is_without_files(path: Path) -> bool:
    """Return whether a folder exists that contains no files, e.g. because its creator was killed."""
    return path.is_dir() and not any(found.is_file() for found in path.rglob("*"))


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically."""
    write_whole(path, lambda file: file.write(text.encode()))


def check_target(target: Path, source: Path) -> None:
    """Refuse a file to write structures to before the work that they need is done.

    Parameters
    ----------
    target
        Extended XYZ to write.
    source
        The file or folder whose structures are read, which would be lost.

    Raises
    ------
    DataError
        The target is a folder, lies in one that does not exist, has the name of another format, or is the
        source.
    """
    if target.is_dir() or not target.absolute().parent.is_dir():
        reason = "is a folder" if target.is_dir() else "the folder does not exist"
        msg = f"{target}: {reason}. Name a file to write to, in a folder that exists."
    elif target.suffix not in _EXTENDED_XYZ:
        msg = f"{target}: extended XYZ is written. Name it {target.with_suffix('.xyz').name}."
    elif target.exists() and source.exists() and target.samefile(source):
        msg = f"{target}: this would replace the structures that are read. Name another file to write to."
    else:
        return
    raise DataError(msg)


def write_structures(path: Path, frames: Iterable[Atoms]) -> None:
    """Replace a file of structures by extended XYZ, atomically; frames are written as they come.

    Raises
    ------
    DataError
        The file cannot be written.
    """
    import ase.io

    def write(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        for atoms in frames:
            ase.io.write(text, atoms, format="extxyz")
        text.detach()

    try:
        write_whole(path, write)
    except OSError as exc:
        msg = f"{path}: cannot be written ({exc.strerror})."
        raise DataError(msg) from exc


def write_json(path: Path, data: Any) -> None:
    """Replace a JSON file atomically."""
    write_text(path, json.dumps(data, indent=1) + "\n")


def append_line(path: Path, data: dict[str, Any]) -> None:
    """Append a record as one line of JSON in a single write, so that lines never mix.

    Raises
    ------
    OSError
        E.g. the disk is full; part of the line may have been written, which readers skip.
    """
    line = (json.dumps(data, separators=(",", ":")) + "\n").encode()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = b"\n" + line  # a line torn by a crash or a full disk must not spoil this one
        if os.write(handle, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(handle)


def sync(path: Path) -> None:
    """Flush a file to disk, if it exists."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        os.fsync(file.fileno())


class Lines(NamedTuple):
    """Result of reading a record of metrics.

    Attributes
    ----------
    records
        One mapping per line.
    offset
        Where the next call should begin.
    damaged
        Number of lines left out because they are damaged.
    """

    records: list[dict[str, Any]]
    offset: int
    damaged: int = 0


def read_lines(path: Path, offset: int = 0) -> Lines:
    """Read the complete lines after `offset`, while another process may be writing.

    An incomplete last line is left for the next call. Damaged lines are left out, as are those with contents
    that no run writes, because readers compare and plot the values.
    """
    if not path.exists():
        return Lines([], 0)
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    lines = [line for line in data[:end].splitlines() if line.strip()]
    try:
        # all at once, which is several times faster than line by line
        found = json.loads(b"[" + b",".join(lines) + b"]")
    except (ValueError, RecursionError):
        # a line was cut off by a crash or a full disk
        found = [_parsed(line) for line in lines]
    records = [record for record in found if _is_record(record)]
    return Lines(records, offset + end, max(len(lines) - len(records), 0))


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


_NO_METRICS: dict[str, Callable[[Any], bool]] = {
    "kind": lambda value: isinstance(value, str),
    "settings": lambda value: isinstance(value, dict),
    # beyond this, integers are no longer exact as floats; no run counts that far and no calendar reaches it
    "time": lambda value: _is_number(value) and 0 <= value < 2**53,
    "step": lambda value: _is_number(value) and 0 <= value < 2**53,
    "epoch": lambda value: _is_number(value) and 0 <= value < 2**53,
}


def _is_record(record: Any) -> bool:
    return isinstance(record, dict) and all(
        _NO_METRICS[key](value) if key in _NO_METRICS else value is None or _is_number(value)
        for key, value in record.items()
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_LARGEST <= value <= _LARGEST


_LARGEST = sys.float_info.max
"""Infinite values and NaN are recorded as ``null``."""
