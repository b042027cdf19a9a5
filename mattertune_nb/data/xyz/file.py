"""Extended-XYZ files of any length, indexed once and read frame by frame."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import io
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.errors import DataError, cause, check_path
from mattertune_nb.data.cache_folder import cache_folder, load_array, save_array
from mattertune_nb.data.watched import watched_file
from mattertune_nb.data.xyz.columns import mended
from mattertune_nb.data.xyz.header import parse_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms
    from numpy.typing import NDArray


_VERSION = 1
_CACHE_FROM = 4_000_000  # bytes; scanning a smaller file is faster than looking up its index
_MOST_ATOMS = 10**9
_TOLD_EVERY = 4096  # frames
_LEAST_COLUMNS = 1000  # so few do no harm, and ASE reports what is wrong with them

STRUCTURE_FILES = (
    "*.xyz",
    "*.extxyz",
    "*.xyz.gz",
    "*.extxyz.gz",
    "*.xyz.xz",
    "*.extxyz.xz",
    "*.traj",
    "*.cif",
    "*.vasp",
    "*.gen",
    "*POSCAR*",
    "*CONTCAR*",
    "*OUTCAR*",
    "*XDATCAR*",
    "vasprun*.xml",
    "aims*.out",
    "*.castep",
    "*.pwo",
    "*.json",
    "*.aselmdb",
)
"""File names of structures in common use, among the many formats that ASE reads."""


class IndexedXYZ:
    """An (extended) XYZ file as a sequence of :class:`ase.Atoms`, parsed one at a time.

    The file is scanned once for the position of each frame; for a large file, the positions are stored in
    the user's cache folder and reused as long as the file's size and modification time stay the same. The
    object can be pickled and holds no open file, so forked workers do not disturb each other.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    n_atoms
        Number of atoms of each frame, (n_frames,), int64, known without parsing.

    Raises
    ------
    DataError
        The file is missing or empty, a number of atoms is invalid, or the file ends within a frame; the
        message names file, frame (from 0, as in ASE) and line.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = existing_file(path)
        stamp = self._stamp()
        cache = _cache_file(self.path) if stamp[0] >= _CACHE_FROM else None
        index = _load(cache, stamp) if cache else None
        if index is None:
            with watched_file(stamp[0], f"Indexing {self.path.name}") as tell:
                index = _scan(self.path, tell)
            if cache:
                save_array(cache, np.vstack([[*stamp, _VERSION], index]))
        self._index = index
        self.n_atoms = np.diff(index[:, 2])
        self._opened = stamp
        _ = self[len(self) - 1]  # a last frame truncated within a line is only noticed when parsed

    def __len__(self) -> int:
        return len(self._index) - 1

    def __getitem__(self, i: int) -> Atoms:
        """Parse frame `i`.

        Raises
        ------
        DataError
            The frame cannot be parsed, or the file has changed since it was indexed.
        IndexError
            No such frame.
        """
        from ase.io.extxyz import read_xyz

        block = self.block(i)
        i %= len(self)
        where = f"{self.path}, frame {i} (line {self._index[i, 1]})"

        def parsed(line: str) -> dict[str, Any]:
            entries = parse_header(line)
            _refuse_columns(entries.get("Properties"), block, where)
            return entries

        try:
            text = block.decode("utf-8")
            try:
                return next(iter(read_xyz(io.StringIO(text), 0, properties_parser=parsed)))
            except DataError:
                raise
            except (KeyError, ValueError):  # not a symbol, not a number
                again = io.StringIO(mended(text))
                return next(iter(read_xyz(again, 0, properties_parser=parsed)))
        except DataError:
            raise
        except Exception as exc:  # ASE's parser can raise any error
            msg = f"{where}: not a valid frame ({cause(exc)}). Correct or remove it."
            raise DataError(msg) from exc

    def block(self, i: int) -> bytes:
        """Return frame `i` exactly as in the file.

        Raises
        ------
        DataError
            The file has changed since it was indexed.
        IndexError
            No such frame.
        """
        if not -len(self) <= i < len(self):
            msg = f"{self.path} has {len(self)} frames, there is no frame {i}"
            raise IndexError(msg)
        i %= len(self)
        start, end = self._index[i, 0], self._index[i + 1, 0]
        if self._stamp() != self._opened:
            msg = f"{self.path}: the file has changed since it was opened. Open it again."
            raise DataError(msg)
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def _stamp(self) -> tuple[int, int]:
        """Return size and modification time (ns) of the file; (-1, 0) once it is gone."""
        try:
            stat = self.path.stat()
        except OSError:
            return -1, 0
        return stat.st_size, stat.st_mtime_ns


def is_sqlite(path: Path) -> bool:
    """Return whether a file is an SQLite database, like ASE's."""
    try:
        with path.expanduser().open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except (OSError, RuntimeError):
        return False


def existing_file(path: str | Path) -> Path:
    """Return the absolute path of a file that exists and is not empty.

    Raises
    ------
    DataError
        There is no such file, it is a folder, or it is empty.
    """
    try:
        full = Path(path).expanduser().absolute()
    except RuntimeError as exc:
        msg = f"{path}: no such home folder. Check the name after '~'."
        raise DataError(msg) from exc
    try:
        is_there = full.exists()
    except OSError as exc:  # no permission, or an invalid file name
        msg = f"{path}: cannot be read ({exc.strerror}). Check the path, and who may read it."
        raise DataError(msg) from exc
    if not is_there:
        msg = f"{path}: no such file. {check_path()}"
    elif not os.access(full, os.R_OK):
        msg = f"{path}: you may not read it. Ask its owner for permission."
    elif full.is_dir():
        msg = f"{path}: is a folder, expected a file of structures."
    elif full.stat().st_size == 0:
        msg = f"{path}: the file is empty. Check that it was written completely."
    else:
        return full
    raise DataError(msg)


def _scan(path: Path, tell: Callable[[int], object]) -> NDArray[np.int64]:
    """Return (n_frames + 1, 3) int64: first byte, first line (from 1), number of atoms in earlier frames."""
    rows: list[tuple[int, int, int]] = []
    offset, line_number, atoms = 0, 1, 0
    with path.open("rb", buffering=1 << 20) as file:
        for header in file:
            if not rows and header.startswith(codecs.BOM_UTF8):
                offset += len(codecs.BOM_UTF8)
                header = header.removeprefix(codecs.BOM_UTF8)
            if header[:3] == b"VEC" and rows:  # cell vectors in extra lines belong to their frame
                offset, line_number = offset + len(header), line_number + 1
                continue
            if not header.strip():  # between frames, or at the end
                offset, line_number = offset + len(header), line_number + 1
                continue
            where = f"{path}, frame {len(rows)} (line {line_number})"
            n = _number_of_atoms(header, path, where)
            lines = list(islice(file, n + 1))
            _refuse_truncated(lines, n, where)
            rows.append((offset, line_number, atoms))
            if not len(rows) % _TOLD_EVERY:
                tell(offset)
            offset += len(header) + sum(map(len, lines))
            line_number += n + 2
            atoms += n
    if not rows:
        msg = f"{path}: holds no frame, only blank lines. Check that it was written completely."
        raise DataError(msg)
    rows.append((offset, line_number, atoms))
    return np.array(rows, dtype=np.int64)


def _number_of_atoms(header: bytes, path: Path, where: str) -> int:
    """Return the number in the first line of a frame, or raise an error that says what is wrong with it."""
    with contextlib.suppress(ValueError):
        n = int(header)
        if 0 <= n < _MOST_ATOMS:
            return n
    if header.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        msg = f"{path}: is written in UTF-16. Write it as UTF-8: iconv -f UTF-16 -t UTF-8"
    elif b"\r" in header.strip():
        msg = f"{path}: ends its lines with CR alone. Write them with LF: tr '\\r' '\\n'"
    else:
        text = header.decode("utf-8", "replace").strip()
        msg = f"{where}: expected the number of atoms, got '{text[:40]}'. Is it an XYZ file?"
    raise DataError(msg)


def _refuse_truncated(lines: list[bytes], n_atoms: int, where: str) -> None:
    """Refuse a frame with too few lines after the first, or whose last line is truncated."""
    if len(lines) < n_atoms + 1:
        how = f"the file ends after {max(len(lines) - 1, 0)} of {n_atoms} atoms"
    elif _is_cut_off(lines[1:]):
        how = "the last line is shorter than the others and has no end"
    else:
        return
    msg = f"{where}: {how}, so the file is truncated. Copy it again, or remove this frame."
    raise DataError(msg)


def _is_cut_off(lines: list[bytes]) -> bool:
    """Return whether the last of a number of lines of equal width is shorter, even if cut within a number."""
    if not lines or lines[-1].endswith(b"\n"):
        return False
    widths = {len(line.rstrip(b"\r\n")) for line in lines[:-1]}
    return len(widths) == 1 and len(lines[-1]) < widths.pop()


def _refuse_columns(properties: Any, block: bytes, where: str) -> None:
    """Refuse a header that declares more columns than the lines have; ASE would allocate memory for them."""
    counts = []
    for count in str(properties).split(":")[2::3]:
        with contextlib.suppress(ValueError):  # ASE reports what is wrong with it
            counts.append(int(count))
    if any(count < 1 for count in counts):
        msg = (
            f"{where}: 'Properties' declares {min(counts)} columns of one name, where 1 is the least. "
            "Correct or remove the frame."
        )
        raise DataError(msg)
    declared = sum(counts)
    told = declared if declared < 10**9 else "over a billion"
    if declared <= _LEAST_COLUMNS:
        return
    present = len(block.split(b"\n", 3)[2].split()) if block.count(b"\n") > 1 else 0
    if declared > present:
        msg = (
            f"{where}: 'Properties' declares {told} columns, but the first atom has {present}. "
            "Correct or remove the frame."
        )
        raise DataError(msg)


def _cache_file(path: Path) -> Path:
    name = hashlib.sha256(str(path).encode()).hexdigest()[:32]
    return cache_folder("xyz") / f"{name}.npy"


def _load(cache: Path, stamp: tuple[int, int]) -> NDArray[np.int64] | None:
    """Return the cached index, or None if there is none or the file has changed since."""
    stored = load_array(cache)
    if stored is None or stored.ndim != 2 or stored.shape[1:] != (3,):
        return None
    if stored.dtype != np.int64 or len(stored) < 3:
        return None
    same = tuple(stored[0]) == (*stamp, _VERSION)
    return stored[1:] if same else None
