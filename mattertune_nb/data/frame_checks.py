"""One pass over the data before training, so that a bad frame is found at once and not overnight."""

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
_WORTH_KEEPING = 2.0  # s of checking


@dataclass(frozen=True)
class DatasetSummary:
    """Summary of a data set.

    Attributes
    ----------
    n_atoms
        (n_frames,) number of atoms in each structure.
    elements
        Symbols that occur, by atomic number.
    composition
        (n_frames, n_elements) number of atoms of each element in each structure.
    labels
        Number of structures that have each of the required labels.
    notes
        Remarks on how the labels were chosen and read, one sentence each.
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
    """Read every structure with its labels, and refuse the first that cannot be used for training.

    If this takes long and nothing is refused, the results are cached in the user's cache folder, and remain
    valid while the files and the settings are the same.

    Parameters
    ----------
    dataset
        The structures.
    required
        Labels needed for training, and whether a structure without one is an error or is masked.
    elements
        Symbols of the elements known to the backbone; by default any.
    is_held_out
        Whether it is not used for training, so that an optional label may be missing everywhere: its errors
        are then not reported.

    Returns
    -------
    DatasetSummary
        The summary of the data set.

    Raises
    ------
    DataError
        Names file, frame, field and remedy: a label that is missing or unusable, no atoms, a position that is
        not a number, a periodic cell without volume, two atoms in the same place, an unknown element; an
        optional label that no structure has; or a label with several candidates, none of which is named in
        the config.
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
            f"{dataset.name}: no held-out frame has {label}, so its errors are not reported"
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
    """Statistics of a data set once every structure has been read.

    Attributes
    ----------
    counts
        For each label, the number of structures that have it.
    columns
        For each element present, the number of its atoms in each structure. A column for every possible
        element would take a kilobyte per structure.
    search
        The values of the structures by name.
    remarks
        Remarks about the labels as read.
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
    """Read every structure with its labels, and refuse the first that cannot be used for training."""
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
    """Return the findings about each label that the config does not name.

    Raises
    ------
    DataError
        There are several candidates for a label, or the standard name contains something else.
    """
    choices = []
    for label, prop in wanted.items():
        if label not in PROPERTIES or not _is_unnamed(dataset, prop):
            continue
        choice = search.choose(label)
        # if the standard name is a candidate, doubtful others do not count
        if choice.question is not None and prop.ase in choice.counts:
            msg = f"{dataset.name}: {choice.question}"
            raise DataError(msg)
        if prop.ase in choice.excluded and choice.key is not None:
            msg = (
                f"{dataset.name}: '{prop.ase}' is {choice.excluded[prop.ase]}, and therefore not used as a "
                f"label. Set {prop.key_field}='{choice.key}', or to '{prop.ase}' to use it all the same."
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
    """Raise the error of one frame with what the others have, or the question that concerns all of them."""
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
            known = f" Of the {search.n_frames} frames checked: {told}."
            break
    msg = f"{error}{known}"
    raise DataError(msg) from None


def look_at_dataset(
    dataset: AtomsDataset,
    required: Mapping[Any, Literal["error", "mask"]],
    *,
    is_held_out: bool = False,
) -> None:
    """Check a few dozen structures, spread over the set, in a time independent of its size.

    Parameters
    ----------
    dataset, required, is_held_out
        As in :func:`check_dataset`.

    Raises
    ------
    DataError
        See :func:`check_dataset`; optional labels are only looked for in the whole set.
    """
    if len(dataset) > _LOOKED_AT:
        dataset = dataset.take(evenly_spread(len(dataset), _LOOKED_AT))
        required = {label: missing for label, missing in required.items() if missing == "error"}
    check_dataset(dataset, required, is_held_out=is_held_out)


def _raise_absent(dataset: AtomsDataset, prop: Property) -> None:
    """Report that a label is missing everywhere, with what the first structure has instead."""
    if not len(dataset):
        msg = f"{dataset.name}: contains no structures."
        raise DataError(msg)
    try:
        dataset.labels(0, {prop: "error"})
    except DataError as exc:
        # masking is no remedy, because the label is nowhere
        text = str(exc).replace(mask_remedy(prop), f"remove the {prop.name} from the properties")
        msg = f"none of the {len(dataset)} structures has a usable label '{prop.name}', e.g. {text}"
        raise DataError(msg) from None
