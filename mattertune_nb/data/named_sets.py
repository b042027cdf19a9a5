"""Several named data sets as one, in which each frame knows its set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Discriminator, Field, Tag
from typing_extensions import override

from mattertune_nb.data.dataset import AtomsDataset
from mattertune_nb.data.sources.configs import DatasetConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.data.labels.reading import LabelKeys


class NamedSets(AtomsDataset):
    """Data sets one after the other, each with its own label names.

    Parameters
    ----------
    parts
        The data sets by name.
    """

    has_one_naming = False

    def __init__(self, parts: Mapping[str, AtomsDataset]) -> None:
        self._joined = _Joined(list(parts.values()))
        self.names = list(parts)
        super().__init__(self._joined, ", ".join(parts))
        self.keeps_isolated_atoms = any(part.keeps_isolated_atoms for part in parts.values())

    def sets(self) -> NDArray[np.int64]:
        """Return the number of each structure's set, (len,), in the order of `names`."""
        return self._joined.sets(self.indices)

    @override
    def keys_of(self, i: int) -> LabelKeys:
        part, k = self._joined.place(int(self.indices[i]))
        return part.keys_of(k)


class _Joined:
    """The frames of several data sets as one sequence."""

    def __init__(self, parts: list[AtomsDataset]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, i: int) -> Atoms:
        part, k = self.place(i)
        return part.frame(k)

    @property
    def n_atoms(self) -> NDArray[np.int64]:
        """Numbers of atoms, (len,)."""
        return np.concatenate([part.n_atoms() for part in self._parts])

    @property
    def paths(self) -> list[Path]:
        """The files of all sets."""
        return [path for part in self._parts for path in part.files()]

    def sets(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the data sets of some frames."""
        return np.searchsorted(self._starts, indices, side="right") - 1

    def place(self, i: int) -> tuple[AtomsDataset, int]:
        """Return the data set of a frame, and its position there."""
        s = int(self.sets(np.asarray(i)))
        return self._parts[s], i - int(self._starts[s])

    def file(self, i: int) -> str:
        """Return the file of a frame."""
        part, k = self.place(i)
        return part.file(k)

    def where(self, i: int) -> str:
        """Return the origin of a frame."""
        part, k = self.place(i)
        return part.source(k)


def _one_or_several(value: Any) -> str:
    """Return whether a value is one data set or a mapping of named ones."""
    is_one = not isinstance(value, dict) or "type" in value or "src" in value or not value
    return "one" if is_one else "several"


ValidationConfig = Annotated[
    Annotated[DatasetConfig, Tag("one")]
    | Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.+-]*$")], DatasetConfig], Tag("several")
    ],
    Discriminator(_one_or_several),
]
"""One validation set, or several named ones."""


def open_sets(config: Any) -> AtomsDataset:
    """Open a data set, or several named ones as one.

    Raises
    ------
    DataError
        A source cannot be read.
    """
    if isinstance(config, dict):
        return NamedSets({name: source.create_dataset() for name, source in config.items()})
    dataset: AtomsDataset = config.create_dataset()
    return dataset
