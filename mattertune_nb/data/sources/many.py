"""Frames of several files, one file after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.sources.slices import read_slice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.data.sources.frames import Frames


class ManyFrames:
    """Frames of several files as one sequence.

    Parameters
    ----------
    paths
        The files, in order, and the frames to take of each, as a Python slice.
    open_one
        Opens one of them.
    skip_bad
        Whether a file that cannot be opened is skipped instead of being an error.

    Attributes
    ----------
    paths
        The files that were opened.
    skipped
        For each of the others, a sentence saying why it was not.

    Raises
    ------
    DataError
        A file cannot be opened, or none can.
    """

    def __init__(
        self,
        paths: Mapping[Path, str],
        open_one: Callable[[Path], Frames],
        *,
        skip_bad: bool = False,
    ) -> None:
        self.paths: list[Path] = []
        self.skipped: list[str] = []
        self._parts: list[Frames] = []
        self._taken: list[range] = []
        for path, taken in paths.items():
            try:
                part = open_one(path)
            except DataError as exc:
                if not skip_bad:
                    n = len(paths)
                    msg = (
                        f"{exc} It is one of {n} files; set skip_bad_files to leave such files out."
                    )
                    raise DataError(msg) from None
                self.skipped.append(str(exc))
                continue
            self.paths.append(path)
            self._parts.append(part)
            self._taken.append(range(len(part))[read_slice(taken)])
        if not self._parts:
            msg = f"none of the {len(paths)} files can be read, e.g. {self.skipped[0]}"
            raise DataError(msg)
        self._starts = np.cumsum([0, *map(len, self._taken)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, i: int) -> Atoms:
        """Return frame `i`.

        Raises
        ------
        IndexError
            There is no such frame.
        """
        part, k = self._place(i)
        return self._parts[part][k]

    def block(self, i: int) -> bytes | None:
        """Return frame `i` exactly as in its file, if that is indexed text."""
        part, k = self._place(i)
        block = getattr(self._parts[part], "block", None)
        return None if block is None else bytes(block(k))

    def file(self, i: int) -> str:
        """Return the file of frame `i`."""
        return str(self.paths[self._place(i)[0]])

    def where(self, i: int) -> str:
        """Return the location of frame `i`, e.g. ``"a.xyz, frame 3"``."""
        part, k = self._place(i)
        return f"{self.paths[part]}, frame {k}"

    @property
    def unconverged(self) -> frozenset[int]:
        """Frames whose electronic steps did not converge, as far as their files say."""
        parts = zip(self._parts, self._taken, self._starts.tolist(), strict=False)
        return frozenset(
            start + taken.index(i)
            for part, taken, start in parts
            for i in getattr(part, "unconverged", ())
            if i in taken
        )

    @property
    def n_atoms(self) -> NDArray[np.int64] | None:
        """Number of atoms of each frame, (n_frames,), if every file gives it without being parsed."""
        known = [getattr(part, "n_atoms", None) for part in self._parts]
        lists = [
            np.array([len(atoms) for atoms in part]) if isinstance(part, list) else counts
            for part, counts in zip(self._parts, known, strict=True)
        ]
        if any(counts is None for counts in lists):
            return None
        pairs = zip(lists, self._taken, strict=True)
        taken = [np.asarray(counts, np.int64)[np.asarray(taken)] for counts, taken in pairs]
        together: NDArray[np.int64] = np.concatenate(taken)
        return together

    def _place(self, i: int) -> tuple[int, int]:
        n = len(self)
        if not -n <= i < n:
            msg = f"there are {n} frames, and no frame {i}"
            raise IndexError(msg)
        i %= n
        part = int(np.searchsorted(self._starts, i, side="right")) - 1
        return part, self._taken[part][i - int(self._starts[part])]
