"""Anything containing structures, opened as a data set, with its labels under their names in the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ase import Atoms

from mattertune_nb.config.errors import DataError
from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.data.contents import search_labels
from mattertune_nb.data.dataset import AtomsDataset, as_dataset
from mattertune_nb.data.labels.reading import LabelKeys
from mattertune_nb.data.sources.open_dataset import is_source, open_dataset
from mattertune_nb.widgets.views.shown import refuse_empty

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = 0.5
"""Time limit for determining label names from the frames."""


def open_structures(x: Any, keys: LabelKeys | None = None) -> AtomsDataset:
    """Return anything containing structures as a dataset.

    Parameters
    ----------
    x
        An Atoms, a list of them, a dict of them by name, a file, a folder, a pattern, a list of these, a
        dataset or its config. The last two define their own label names.
    keys
        Label names in a file or list, for frames that have them; otherwise, and for labels not given, ASE's
        standard names or what the frames have in their place, if unambiguous.

    Raises
    ------
    DataError
        A file cannot be read, there are no structures, or one in a list has no atoms.
    """
    if hasattr(x, "create_dataset"):
        x = x.create_dataset()
    elif isinstance(x, Atoms):
        x = {"structure": x}
    if isinstance(x, AtomsDataset):
        dataset = x
    elif is_source(x):
        dataset = open_dataset(x)
    elif isinstance(x, Mapping):
        dataset = AtomsDataset(_Named(x), "structures")
    else:
        dataset = as_dataset(_checked(x))
    if not len(dataset):
        msg = "there is no structure to show: the list or dataset is empty."
        raise DataError(msg)
    if dataset is not x:
        dataset.keys = _named(dataset, keys or LabelKeys())
    return dataset


class _Named(list[Atoms]):
    """Structures with names in place of numbers."""

    def __init__(self, structures: Mapping[Any, Any]) -> None:
        super().__init__(_checked(structures.values()))
        self._names = [str(name) for name in structures]

    def where(self, i: int) -> str:
        """Return the name of structure `i`."""
        return self._names[i]


def _checked(structures: Any) -> Sequence[Atoms]:
    try:
        items = list(structures)
    except TypeError:
        items = [structures]
    strange = next((type(item).__name__ for item in items if not isinstance(item, Atoms)), None)
    if strange is not None:
        msg = f"expected structures (Atoms, a list or dict of them, a file, a dataset), got {strange}."
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
