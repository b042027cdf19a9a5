"""A data set: structures with labels, counted from 0, from any source."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.data.labels.reading import AbsentLabelError, LabelKeys, Labels, read_labels
from mattertune_nb.data.sources.frames import Layer
from mattertune_nb.data.xyz.unnamed import unnamed_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.data.sources.frames import Frames


@dataclass(frozen=True, slots=True)
class LoaderSettings:
    """How to batch a data set; the default settings of a model's ``create_dataloader``."""

    batch_size: int = 8
    max_atoms: int | None = None
    num_workers: int = 0
    graph_memory_mb: float = 1000.0
    graph_disk_mb: float = 2000.0
    pin_memory: bool = True
    shuffle: bool = False
    seed: int = 42


class AtomsDataset:
    """A map from 0, 1, … to bare structures, with their labels and origin.

    Parameters
    ----------
    frames
        All frames of the source; read on demand.
    name
        Name of the source in messages, e.g. the file's path.
    keys
        Names of the labels.
    indices
        The frames of the source that belong to the data set; all by default.
    unit
        What the source calls its entries.
    numbers
        The source's own numbers of its frames, if they differ from their positions (a row's id).

    Attributes
    ----------
    indices
        (len,) int64, position of each structure in the source, counted from 0 as in ASE; the record of a
        split.
    numbers
        The source's own number of each frame; ``None`` if it is the position.
    loader
        How to batch it.
    notes
        Remarks on how the source was read, one sentence each.
    has_one_naming
        Whether `keys` applies to every structure, see :meth:`keys_of`.
    keeps_isolated_atoms
        Whether single atoms are ordinary frames rather than references.
    """

    has_one_naming = True
    keeps_isolated_atoms = False

    def __init__(
        self,
        frames: Frames,
        name: str,
        keys: LabelKeys | None = None,
        *,
        indices: Sequence[int] | NDArray[np.int64] | None = None,
        unit: str = "frame",
        numbers: NDArray[np.int64] | None = None,
    ) -> None:
        self.name = name
        self.keys = keys or LabelKeys()
        self.indices = np.arange(len(frames)) if indices is None else np.asarray(indices, np.int64)
        self.loader = LoaderSettings()
        self.notes: tuple[str, ...] = ()
        self._frames = frames
        self._unit = unit
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Atoms:
        """Return structure `i` as a copy with only species, positions, cell and pbc."""
        return self.structure(i)

    def structure(self, i: int, info: Iterable[str] = ()) -> Atoms:
        """Return structure `i` as a copy with species, positions, cell, pbc and these keys of its info."""
        from ase import Atoms

        atoms = self.frame(i)
        kept = {name: atoms.info[name] for name in info if name in atoms.info}
        return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc, info=kept)

    def frame(self, i: int) -> Atoms:
        """Return structure `i` with everything the source contains; shared, so do not modify it.

        Raises
        ------
        IndexError
            There is no structure `i`.
        """
        return self._frames[int(self.indices[i])]

    def labels(
        self, i: int, missing: Mapping[Any, Literal["error", "mask"]] | None = None
    ) -> Labels:
        """Return the labels of structure `i` in float64.

        Parameters
        ----------
        i
            Position in the data set.
        missing
            The labels to read, and whether one that is missing or unusable is an error, see
            :func:`read_labels`; by default all usable ones.
        """
        everything: Mapping[Any, Literal["error", "mask"]] = dict.fromkeys(PROPERTIES, "mask")
        wanted = everything if missing is None else missing
        try:
            return read_labels(self.frame(i), self.keys_of(i), wanted, source=self.source(i))
        except AbsentLabelError as exc:
            unnamed = self.unnamed(i, exc.label)
            if unnamed is None:
                raise
            msg = f"{exc} {unnamed}"
            raise AbsentLabelError(msg, exc.label) from None

    def unnamed(self, i: int, label: str) -> str | None:
        """Return a sentence about a possible `label` of structure `i` that has no name, or None."""
        block = self.block(i)
        return None if block is None else unnamed_values(block, label)

    def keys_of(self, i: int) -> LabelKeys:
        """Return the names of the labels of structure `i`."""
        return self.keys

    def source(self, i: int) -> str:
        """Return the origin of structure `i`, e.g. ``"a.xyz, frame 12"``, counted from 0 as in ASE."""
        k = int(self.indices[i])
        where = getattr(_reader(self._frames), "where", None)
        if where is not None:
            return str(where(k))
        return f"{self.name}, {self._unit} {k if self.numbers is None else self.numbers[k]}"

    def source_in_folder(self, i: int) -> str:
        """Return the origin of structure `i`, with the file name only."""
        name, comma, place = self.source(i).rpartition(", ")
        return name.rsplit("/", 1)[-1].rsplit("\\", 1)[-1] + comma + place

    def block(self, i: int) -> bytes | None:
        """Return structure `i` as in its file, if that is indexed text, in Å."""
        if not _keeps_text(self._frames):
            return None
        block = getattr(_reader(self._frames), "block", None)
        return None if block is None else block(int(self.indices[i]))

    def file(self, i: int) -> str:
        """Return the file that structure `i` comes from."""
        k = int(self.indices[i])
        of_frame = getattr(_reader(self._frames), "file", None)
        return self.name if of_frame is None else str(of_frame(k))

    def files(self) -> list[Path]:
        """Return the files from which the data set is read; empty for structures in memory."""
        paths = getattr(_reader(self._frames), "paths", None)
        return [Path(self.name).expanduser()] if paths is None else list(paths)

    def n_atoms(self) -> NDArray[np.int64]:
        """Return the (len,) numbers of atoms, without parsing if the source knows them."""
        known = getattr(_reader(self._frames), "n_atoms", None)
        if known is not None:
            return np.asarray(known[self.indices], dtype=np.int64)
        return np.array([len(self._frames[int(k)]) for k in self.indices], dtype=np.int64)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> AtomsDataset:
        """Return the data set of these structures, in this order, sharing frames and cache."""
        part = copy.copy(self)
        part.indices = self.indices[np.asarray(indices, dtype=np.int64)]
        return part

    def with_loader(self, loader: LoaderSettings) -> AtomsDataset:
        """Return the same data set with other batch settings."""
        part = copy.copy(self)
        part.loader = loader
        return part


def _reader(frames: Frames) -> Frames:
    """Return the reader of the frames, behind a cache and all transformations."""
    return _reader(frames.frames) if isinstance(frames, Layer) else frames


def _keeps_text(frames: Frames) -> bool:
    return not isinstance(frames, Layer) or (frames.keeps_text and _keeps_text(frames.frames))


def as_dataset(frames: AtomsDataset | Sequence[Atoms]) -> AtomsDataset:
    """Return a data set of structures in memory; a data set is returned unchanged."""
    if isinstance(frames, AtomsDataset):
        return frames
    return AtomsDataset(list(frames), "structures")
