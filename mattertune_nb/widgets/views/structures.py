"""Whatever holds structures, opened as a data set, with its labels under the names that it uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms

from mattertune_nb.config.errors import DataError
from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.data.datasets import AtomsDataset, as_dataset
from mattertune_nb.data.labels import LabelKeys, keys_to_set, likely_keys, stored_values
from mattertune_nb.data.open_dataset import open_dataset
from mattertune_nb.widgets.views.shown import refuse_empty

if TYPE_CHECKING:
    from collections.abc import Sequence


def open_structures(x: Any, keys: LabelKeys | None = None) -> AtomsDataset:
    """Return anything that holds structures as a dataset.

    Parameters
    ----------
    x
        An Atoms, a list of them, a file, a folder, a pattern, a list of these, a dataset or its config. The
        last two say themselves how their labels are named.
    keys
        Names of the labels in a file or list, where its first frame has them; otherwise, and for
        those not given, ASE's standard names or what the first frame has in their place.

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
        dataset.keys = _named(dataset.frame(0), keys or LabelKeys())
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


def _named(atoms: Atoms, keys: LabelKeys) -> LabelKeys:
    stored, found = stored_values(atoms), keys_to_set(likely_keys(atoms))
    names = {}
    for name in (prop.ase for prop in PROPERTIES.values()):
        key = getattr(keys, name)
        names[name] = key if key in stored else found.get(f"{name}_key")
    return LabelKeys(**names)
