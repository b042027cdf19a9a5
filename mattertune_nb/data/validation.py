"""One pass over the data before training, so that a bad frame is met now and not in the night."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from mattertune_nb.config.errors import DataError
from mattertune_nb.config.properties import PROPERTIES, Property, as_property
from mattertune_nb.data.checked import Checked
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.data.labels.reading import Remarks, mask_remedy, read_labels
from mattertune_nb.data.labels.search import LabelSearch
from mattertune_nb.data.labels.values import stored_values
from mattertune_nb.data.soundness import problem_of
from mattertune_nb.data.watched import watched

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.data.labels.choice import Choice

_LOOKED_AT = 64
_WORTH_KEEPING = 2.0  # s that checking took


@dataclass(frozen=True)
class DatasetSummary:
    """What a data set holds.

    Attributes
    ----------
    n_atoms
        (n_frames,) atoms of each structure.
    elements
        Symbols that occur, by atomic number.
    composition
        (n_frames, n_elements) atoms of each element in each structure.
    labels
        Number of structures that have each of the required labels.
    notes
        What a person should know of how the labels were chosen and read, a sentence each.
    """

    n_atoms: NDArray[np.int64]
    elements: tuple[str, ...]
    composition: NDArray[np.int64]
    labels: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def n_frames(self) -> int:
        """Number of structures."""
        return len(self.n_atoms)


def check_dataset(
    dataset: AtomsDataset,
    required: Mapping[Any, Literal["error", "mask"]],
    elements: Collection[str] | None = None,
    *,
    is_held_out: bool = False,
) -> DatasetSummary:
    """Read every structure with its labels, and refuse the first that cannot be trained on.

    Where this takes long and nothing is refused, what was found is kept in the user's cache folder and holds
    while the files and the settings are the same.

    Parameters
    ----------
    dataset
        The structures.
    required
        The labels that training needs, and whether a structure without one is an error or is masked.
    elements
        Symbols that the backbone knows; not given: any.
    is_held_out
        Whether nothing is trained on it, so that a label that may be missing may be so everywhere: its
        errors are then left out.

    Returns
    -------
    DatasetSummary
        What the data set holds.

    Raises
    ------
    DataError
        Names file, frame, field and remedy: a label that is missing or cannot be used, no atoms, a
        position that is no number, a periodic cell without volume, two atoms in one place, an unknown
        element; a label that no structure has, though it may be missing in some; or one that several
        values may be, of which the config names none.
    """
    checked = Checked(dataset, required, elements, is_held_out=is_held_out)
    kept = checked.read()
    if kept is not None:
        facts, composition = kept
        return DatasetSummary(
            n_atoms=composition.sum(axis=1),
            elements=tuple(facts["elements"]),
            composition=composition,
            labels=facts["labels"],
            notes=tuple(facts["notes"]),
        )
    begun = time.monotonic()
    summary = _check_all(dataset, required, elements, is_held_out=is_held_out)
    if time.monotonic() - begun > _WORTH_KEEPING:
        facts = {name: getattr(summary, name) for name in ("elements", "labels", "notes")}
        checked.keep(facts, summary.composition)
    return summary


def _check_all(
    dataset: AtomsDataset,
    required: Mapping[Any, Literal["error", "mask"]],
    elements: Collection[str] | None,
    *,
    is_held_out: bool,
) -> DatasetSummary:
    from ase.data import chemical_symbols

    wanted = {prop.name: prop for prop in map(as_property, required)}
    read = _read_all(dataset, required, elements)
    choices = _choices(dataset, wanted, read.search)
    absent = [label for label in wanted if read.counts[label] == 0]
    optional = {as_property(label).name for label, missing in required.items() if missing == "mask"}
    for label in absent:
        if not (is_held_out and label in optional and len(dataset)):
            _raise_absent(dataset, wanted[label])
    present = sorted(read.columns)
    composition = np.array([read.columns[z] for z in present], dtype=np.int64)
    composition = composition.reshape(len(present), len(dataset)).T
    notes = (
        *dataset.notes,
        *read.remarks.told(),
        *(note for choice in choices for note in choice.notes_of_standard()),
        *_findings(dataset, wanted, read.search, read.remarks),
        *(
            f"{dataset.name}: no held-out frame has {label}, whose errors are left out"
            for label in absent
        ),
    )
    return DatasetSummary(
        n_atoms=composition.sum(axis=1),
        elements=tuple(chemical_symbols[z] for z in present),
        composition=composition,
        labels={label: read.counts[label] for label in wanted},
        notes=tuple(note if note.endswith(("?", ".")) else f"{note}." for note in notes),
    )


@dataclass
class _Read:
    """What is known of a data set once every structure has been read.

    Attributes
    ----------
    counts
        Of each label, how many structures have it.
    columns
        Of each element that occurs, how many of its atoms each structure has. A column for every element
        there is would take a kilobyte per structure.
    search
        What the structures hold under which names.
    remarks
        What there is to say of the labels as they were read.
    """

    counts: Counter[str] = field(default_factory=Counter)
    columns: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    search: LabelSearch = field(default_factory=LabelSearch)
    remarks: Remarks = field(default_factory=Remarks)


def _read_all(
    dataset: AtomsDataset,
    required: Mapping[Any, Literal["error", "mask"]],
    elements: Collection[str] | None,
) -> _Read:
    """Read every structure with its labels, and refuse the first that cannot be trained on."""
    from ase.data import atomic_numbers, chemical_symbols

    known = set(range(1, len(chemical_symbols)))
    if elements is not None:
        known = {atomic_numbers[symbol] for symbol in elements}
    read = _Read()
    for i in watched(range(len(dataset)), f"Checking {dataset.name}"):
        atoms, source = dataset.frame(i), dataset.source(i)
        problem = problem_of(atoms, known)
        if problem:
            msg = f"{source}: {problem}"
            raise DataError(msg)
        stored = stored_values(atoms)
        read.search.add(atoms, stored)
        try:
            read.counts.update(
                read_labels(
                    atoms,
                    dataset.keys_of(i),
                    required,
                    source=source,
                    remarks=read.remarks,
                    stored=stored,
                ).keys()
            )
        except DataError as exc:
            for k in range(i + 1, len(dataset)):
                read.search.add(dataset.frame(k))
            _raise_for_all(dataset, required, read.search, i, exc)
        per_element = np.bincount(atoms.numbers)
        for z in np.flatnonzero(per_element).tolist():
            read.columns.setdefault(z, np.zeros(len(dataset), dtype=np.int64))[i] = per_element[z]
    return read


def _choices(
    dataset: AtomsDataset, wanted: Mapping[str, Property], search: LabelSearch
) -> list[Choice]:
    """Return what was found of each label that the config does not name.

    Raises
    ------
    DataError
        Several values may be a label, or the standard name holds something else.
    """
    choices = []
    for label, prop in wanted.items():
        if label not in PROPERTIES or not _is_unnamed(dataset, prop):
            continue
        choice = search.choose(label)
        # where the standard name is a candidate, others that are only doubtful do not count
        if choice.question is not None and prop.ase in choice.counts:
            msg = f"{dataset.name}: {choice.question}"
            raise DataError(msg)
        if prop.ase in choice.excluded and choice.key is not None:
            msg = (
                f"{dataset.name}: '{prop.ase}' is {choice.excluded[prop.ase]}, and therefore no label. "
                f"Set {prop.key_field}='{choice.key}', or to '{prop.ase}' all the same."
            )
            raise DataError(msg)
        choices.append(choice)
    return choices


def _is_unnamed(dataset: AtomsDataset, prop: Property) -> bool:
    """Return whether a data set's config leaves the name of a label to ASE's standard."""
    return dataset.has_one_naming and dataset.keys.given(prop) is None


def _findings(
    dataset: AtomsDataset, wanted: Mapping[str, Property], search: LabelSearch, remarks: Remarks
) -> list[str]:
    units = dataset.keys.units
    own = {
        label: getattr(units, prop.ase, None) is None and label not in remarks.converted
        for label, prop in wanted.items()
    }
    return [
        finding
        for label, prop in wanted.items()
        if label in PROPERTIES
        for finding in search.findings(label, dataset.keys.names(prop), unit_is_own=own[label])
    ]


def _raise_for_all(
    dataset: AtomsDataset,
    required: Mapping[Any, Literal["error", "mask"]],
    search: LabelSearch,
    i: int,
    error: DataError,
) -> NoReturn:
    """Raise the error of one frame with what the others have, or the question that all of them ask."""
    atoms, known = dataset.frame(i), ""
    for prop in map(as_property, required):
        label = prop.name
        if label not in PROPERTIES:
            continue
        names = dataset.keys_of(i).names(prop)
        if any(stored_values(atoms).get(name) is not None for name in names):
            continue
        choice = search.choose(label)
        if choice.question is not None and _is_unnamed(dataset, prop):
            msg = f"{dataset.name}: {choice.question}"
            raise DataError(msg) from None
        if choice.counts and str(error).startswith(f"{dataset.source(i)}: no {label} "):
            told = ", ".join(f"'{key}' in {n}" for key, n in choice.counts.items())
            known = f" Of all {search.n_frames} frames: {told}."
            break
    msg = f"{error}{known}"
    raise DataError(msg) from None


def look_at_dataset(
    dataset: AtomsDataset,
    required: Mapping[Any, Literal["error", "mask"]],
    *,
    is_held_out: bool = False,
) -> None:
    """Check a few dozen structures, spread over the set, in a time that does not grow with it.

    Parameters
    ----------
    dataset, required, is_held_out
        As in :func:`check_dataset`.

    Raises
    ------
    DataError
        See :func:`check_dataset`; a label that may be missing is looked for in the whole set only.
    """
    if len(dataset) > _LOOKED_AT:
        dataset = dataset.take(evenly_spread(len(dataset), _LOOKED_AT))
        required = {label: missing for label, missing in required.items() if missing == "error"}
    check_dataset(dataset, required, is_held_out=is_held_out)


def _raise_absent(dataset: AtomsDataset, prop: Property) -> None:
    """Say that a label is nowhere, with what the first structure has instead."""
    if not len(dataset):
        msg = f"{dataset.name}: holds no structure."
        raise DataError(msg)
    try:
        dataset.labels(0, {prop: "error"})
    except DataError as exc:
        # the remedy is not to mask it, as there is none at all
        text = str(exc).replace(mask_remedy(prop), f"take the {prop.name} out of the properties")
        msg = f"none of the {len(dataset)} structures has a usable label '{prop.name}', e.g. {text}"
        raise DataError(msg) from None
