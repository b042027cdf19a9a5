"""Per-atom values that colour the atoms: force errors, force norms, and any others in a frame."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.errors import DataError
from mattertune_nb.config.properties import FORCES
from mattertune_nb.data.labels.reading import likely_keys
from mattertune_nb.data.labels.values import stored_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset

FORCE, FORCE_ERROR, FORCE_SPREAD = "force", "force_error", "force_spread"
_TITLES = {
    FORCE: FORCES.with_unit("force"),
    FORCE_ERROR: FORCES.with_unit("force error"),
    FORCE_SPREAD: FORCES.with_unit("force spread"),
}
_UNITS = {
    "magmoms": "μB",
    "initial_magmoms": "μB",
    "charges": "e",
    "initial_charges": "e",
    "energies": "eV",
    "masses": "u",
}
"""Units of the names defined by ASE; the meaning of other names is known only to their authors."""


def title_of(name: str) -> str:
    """Return the title of the values with a name, with their unit if known."""
    unit = _UNITS.get(name)
    return _TITLES.get(name) or (f"{name} ({unit})" if unit else name)


def names_in(frames: AtomsDataset, index: int, *, with_model: bool) -> list[str]:
    """Return the names of a frame's values, the most useful first."""
    atoms = frames.frame(index)
    names = []
    if FORCES.name in frames.labels(index, {FORCES: "mask"}):
        names = [FORCE_ERROR] * with_model + [FORCE]
    vectors = {*likely_keys(atoms)[FORCES.name], *frames.keys.names(FORCES)}
    return names + [name for name in _stored(atoms) if name not in vectors]


def named_values(
    frames: AtomsDataset,
    name: str,
    predict: Callable[[int], NDArray[np.float64]] | None,
    index: int,
) -> NDArray[np.float64]:
    """Return the values with a name, (n,): numbers, or the norms of vectors.

    Parameters
    ----------
    frames
        The structures.
    name
        ``"force"`` and ``"force_error"`` in meV/Å, or a name of per-atom numbers in the frame.
    predict
        Predicts the forces of a frame, (n, 3) in eV/Å.
    index
        The frame.

    Raises
    ------
    DataError
        The frame has no such values.
    """
    if name in (FORCE, FORCE_ERROR):
        forces = np.asarray(frames.labels(index, {FORCES: "error"})[FORCES.name])
        if name == FORCE_ERROR:
            if predict is None:
                msg = "force errors need a model: view(x, color='force_error', model=...)."
                raise DataError(msg)
            forces = predict(index) - forces
        norms: NDArray[np.float64] = FORCES.factor * np.linalg.norm(forces, axis=1)
        return norms
    stored = _stored(frames.frame(index))
    if name not in stored:
        found = ", ".join(stored) or "none"
        msg = f"{frames.source(index)}: no per-atom values '{name}'. Found: {found}."
        raise DataError(msg)
    values = stored[name]
    return values[:, 0] if values.shape[1] == 1 else np.linalg.norm(values, axis=1)


def given_values(color: Any) -> Callable[[int], NDArray[np.float64]]:
    """Return the values given by the caller, by frame: from a function, or numbers for every frame."""
    return color if callable(color) else partial(_same, np.asarray(color))


def _same(values: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return values


def _stored(atoms: Atoms) -> dict[str, NDArray[np.float64]]:
    """Return all per-atom numbers of a frame by name, (n, columns)."""
    n = len(atoms)
    stored = {key: np.asarray(value) for key, value in stored_values(atoms).items()}
    return {
        key: value.reshape(n, -1).astype(float)
        for key, value in stored.items()
        if value.shape[:1] == (n,) and value.dtype.kind in "iuf"
    }
