"""A single function that opens any source of structures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mattertune_nb.data.sources.configs import XYZDatasetConfig

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from mattertune_nb.data.dataset import AtomsDataset

Source: TypeAlias = str | Path | Sequence[str | Path]


def open_dataset(src: Source, **settings: Any) -> AtomsDataset:
    """Open structures from any source; configs, commands and views read files in the same way.

    Parameters
    ----------
    src
        A file, a folder of files, a pattern such as ``"runs/*/OUTCAR"``, or a list of these.
    **settings
        Other fields of :class:`~mattertune_nb.data.sources.configs.XYZDatasetConfig`, e.g. ``energy_key``.

    Returns
    -------
    AtomsDataset
        ``len(data)`` structures, with ``data.frame(i)``, ``data.labels(i)`` and ``data.source(i)``.

    Raises
    ------
    DataError
        There is no such file, or one cannot be read.
    """
    return XYZDatasetConfig(src=src, **settings).create_dataset()


def is_source(x: object) -> TypeIs[Source]:
    """Return whether `x` is what :func:`open_dataset` opens: a path, or a list of paths."""
    if isinstance(x, (list, tuple)):
        return bool(x) and all(isinstance(part, (str, Path)) for part in x)
    return isinstance(x, (str, Path))
