"""The contents of a data set, reported while it is being read, for people who choose one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.errors import DataError
from mattertune_nb.config.properties import ENERGY, PROPERTIES
from mattertune_nb.data.isolated import is_isolated_atom, isolated_in_words
from mattertune_nb.data.labels.reading import Remarks, read_labels
from mattertune_nb.data.labels.search import LabelSearch
from mattertune_nb.data.labels.values import stored_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.data.labels.choice import Choice

_BREATH = 0.02
"""Seconds of reading after which other threads get a turn."""


@dataclass
class Contents:
    """Findings so far.

    Attributes
    ----------
    n_frames, n_read
        Number of frames in the data set, and of those read.
    elements
        Symbols that occur, by atomic number.
    n_atoms
        Smallest and largest number of atoms in a frame.
    labels
        For each label, the number of frames read that have a usable one.
    keys
        The name under which the data set looks for each label.
    choices
        Candidates for each label, from all frames.
    notes
        Remarks on how the labels are read.
    isolated
        Energies in eV of the isolated atoms that do not count as frames, by symbol; None if missing.
    """

    n_frames: int
    n_read: int = 0
    elements: tuple[str, ...] = ()
    n_atoms: tuple[int, int] = (0, 0)
    labels: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PROPERTIES, 0))
    keys: dict[str, str] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    isolated: dict[str, float | None] = field(default_factory=dict)

    @property
    def has_references(self) -> bool:
        """Whether there is an isolated atom with an energy for each element."""
        return all(self.isolated.get(symbol) is not None for symbol in self.elements)

    @property
    def is_complete(self) -> bool:
        """Whether every frame was read."""
        return self.n_read == self.n_frames


def read_contents(
    dataset: AtomsDataset, *, every: float = 0.5, at_most: float = 60.0
) -> Iterator[Contents]:
    """Read a data set and yield its contents: now and then, and at the end.

    Frames are read in an order that is spread over the set, so that early results hold for all of it. At most
    one frame is in memory beyond the set's cache, and reading gives way to other threads.

    Parameters
    ----------
    dataset
        The structures.
    every
        Seconds between reports.
    at_most
        Seconds after which the rest is left unread.

    Raises
    ------
    DataError
        A frame cannot be read.
    """
    from ase.data import chemical_symbols

    found = Contents(len(dataset), keys={label: dataset.keys.name(label) for label in PROPERTIES})
    numbers: set[int] = set()
    search, remarks = LabelSearch(), Remarks()
    n_isolated = 0

    def sum_up() -> None:
        found.elements = tuple(chemical_symbols[z] for z in sorted(numbers))
        found.choices = search.choices()
        found.notes = [*dataset.notes, *remarks.told()]
        if 0 < n_isolated < found.n_read:
            found.notes.append(isolated_in_words(n_isolated, found.isolated).removesuffix("."))

    begun = reported = turn = time.monotonic()
    for i in spread(len(dataset)):
        atoms = dataset.frame(i)
        numbers.update(np.unique(atoms.numbers).tolist())
        least, most = found.n_atoms if found.n_read else (len(atoms), len(atoms))
        found.n_atoms = min(least, len(atoms)), max(most, len(atoms))
        stored = stored_values(atoms)
        search.add(atoms, stored)
        masked: dict[str, Any] = dict.fromkeys(PROPERTIES, "mask")
        source, keys = dataset.source(i), dataset.keys_of(i)
        labels = read_labels(atoms, keys, masked, source=source, remarks=remarks, stored=stored)
        for label in labels:
            found.labels[label] += 1
        if is_isolated_atom(atoms) and not dataset.keeps_isolated_atoms:
            n_isolated += 1
            energy = labels.get(ENERGY.name)
            found.isolated[str(atoms.symbols[0])] = None if energy is None else float(energy)
        found.n_read += 1
        now = time.monotonic()
        if now - turn > _BREATH:
            time.sleep(_BREATH / 4)
            turn = time.monotonic()
        if now - reported > every:
            sum_up()
            reported = now
            yield found
            if now - begun > at_most:
                break
    sum_up()
    yield found


def spread(n: int) -> Iterator[int]:
    """Yield 0 to n - 1 so that every beginning is evenly spread: by halving steps."""
    bits = max(n - 1, 0).bit_length()
    for k in range(1 << bits):
        i = int(f"{k:0{bits}b}"[::-1], 2) if bits else 0
        if i < n:
            yield i


def search_labels(
    dataset: AtomsDataset, *, at_most: float, skip_unreadable: bool = False
) -> LabelSearch:
    """Inspect the values of frames spread over a data set, until all are read or time is up.

    Parameters
    ----------
    dataset
        The structures.
    at_most
        Seconds after which the rest is left unread.
    skip_unreadable
        Whether unreadable frames are ignored; otherwise they are an error.

    Raises
    ------
    DataError
        A frame cannot be read.
    """
    search, begun = LabelSearch(), time.monotonic()
    for i in spread(len(dataset)):
        try:
            search.add(dataset.frame(i))
        except DataError:
            if not skip_unreadable:
                raise
        if time.monotonic() - begun > at_most:
            break
    return search
