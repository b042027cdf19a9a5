"""Whatever holds structures, opened as a data set, with its labels under the names that it uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms

from mattertune_nb.config.errors import DataError
from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.data.contents import search_labels
from mattertune_nb.data.dataset import AtomsDataset, as_dataset
from mattertune_nb.data.labels.reading import LabelKeys
from mattertune_nb.data.sources.open_dataset import open_dataset
from mattertune_nb.widgets.views.shown import refuse_empty

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = 0.5
"""How long frames are looked at for the names of their labels."""


def open_structures(x: Any, keys: LabelKeys | None = None) -> AtomsDataset:
    """Return anything that holds structures as a dataset.

    Parameters
    ----------
    x
        An Atoms, a list of them, a file, a folder, a pattern, a list of these, a dataset or its config. The
        last two say themselves how their labels are named.
    keys
        Names of the labels in a file or list, where its frames have them; otherwise, and for those not
        given, ASE's standard names or what frames have in their place, where that is beyond doubt.

    Raises
    ------
    DataError
        Where a file cannot be read, nothing holds a structure, or one of a list has no atom.
    """
    if hasattr(x, "create_dataset"):
        x = x.create_dataset()
    if isinstance(x, AtomsDataset):
        dataset = x
    elif isinstance(x, (str, Path)) or _are_paths(x):
        dataset = open_dataset(x)
    else:
        dataset = as_dataset(_checked([x] if isinstance(x, Atoms) else x))
    if not len(dataset):
        msg = "there is no structure to show: the list or dataset is empty."
        raise DataError(msg)
    if dataset is not x:
        dataset.keys = _named(dataset, keys or LabelKeys())
    return dataset


def _are_paths(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and bool(x) and all(isinstance(p, (str, Path)) for p in x)


def _checked(structures: Any) -> Sequence[Atoms]:
    try:
        items = list(structures)
    except TypeError:
        items = [structures]
    strange = next((type(item).__name__ for item in items if not isinstance(item, Atoms)), None)
    if strange is not None:
        msg = f"expected structures (Atoms, a list of them, a file, a dataset), got {strange}."
        raise DataError(msg)
    for i, atoms in enumerate(items):
        refuse_empty(atoms, f"structures, frame {i}")
    return items


def _named(dataset: AtomsDataset, keys: LabelKeys) -> LabelKeys:
    search = search_labels(dataset, at_most=_SECONDS, skip_unreadable=True)
    names: dict[str, str | None] = {}
    for label, prop in PROPERTIES.items():
        choice, given = search.choose(label), keys.given(label)
        if given is not None and any(key in search.keys for key in keys.names(label)):
            names[prop.ase] = given
        else:
            names[prop.ase] = None if prop.ase in search.keys else choice.key
    return LabelKeys(names["energy"], names["forces"], names["stress"], keys.units)
