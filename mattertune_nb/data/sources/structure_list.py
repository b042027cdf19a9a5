"""SevenNet's ``structure_list``: a text that names files of structures, and the frames to take of each."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.sources.slices import read_slice

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = 4096
_TITLE = re.compile(r"\[[^\[\]{}\"',]+\]")
_LINE = re.compile(r"(?P<files>\S+)(?:\s+(?P<frames>[-\d:]+))?")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def is_structure_list(path: Path) -> bool:
    """Return whether a file is such a text: titles in brackets, and below each a file a line."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD + 1)
    try:
        lines = head.decode().splitlines()
    except UnicodeDecodeError:
        return False
    # the last line read may be cut off
    lines = [line.strip() for line in (lines[:-1] if len(head) > _HEAD else lines) if line.strip()]
    is_titled = len(lines) > 1 and _TITLE.fullmatch(lines[0]) is not None
    return is_titled and all(_TITLE.fullmatch(line) or _LINE.fullmatch(line) for line in lines)


def listed_files(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each file or pattern named by the text, and the frames to take of it, as a Python slice.

    Paths are relative to the current folder, as for SevenNet, or to that of the text.

    Raises
    ------
    DataError
        A line is no file with frames.
    """
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = raw.strip()
        if not line or _TITLE.fullmatch(line):
            continue
        read = _LINE.fullmatch(line)
        frames = _as_slice((read and read["frames"]) or ":")
        try:
            read_slice(frames if read else "")
        except ValueError:
            msg = (
                f"{path}, line {number}: '{line}' is no file with frames such as 'run/OUTCAR ::10'."
            )
            raise DataError(msg) from None
        for name in _expanded(line.split()[0]):
            is_here = Path(name).is_absolute() or any(Path().glob(name))
            is_beside = not is_here and any(path.parent.glob(name))
            yield str(path.parent / name) if is_beside else name, frames


def _as_slice(frames: str) -> str:
    """Return a slice for a single frame's number, and a slice as it is."""
    number = re.fullmatch(r"-?\d+", frames)
    return f"{frames}:{int(frames) + 1 or ''}" if number else frames


def _expanded(text: str) -> Iterator[str]:
    """Yield a path for each choice between braces, ``{1..3}`` or ``{a,b}``, as a shell does."""
    parts = _BRACES.split(text)
    choices = [_choices(part) if k % 2 else [part] for k, part in enumerate(parts)]
    yield from map("".join, product(*choices))


def _choices(inside: str) -> list[str]:
    span = _RANGE.fullmatch(inside)
    if span is None:
        return inside.split(",")
    first, last = int(span[1]), int(span[2])
    step = 1 if last >= first else -1
    return [str(k) for k in range(first, last + step, step)]
