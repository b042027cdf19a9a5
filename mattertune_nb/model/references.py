"""Reference energies: each element's contribution to the difference between two zeros of energy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import yaml
from ase.data import atomic_numbers
from scipy.optimize import least_squares

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.yaml import load_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Counts: TypeAlias = NDArray[np.int64] | csr_array

N_ELEMENTS = 119
"""Length of every per-element array; the index is the atomic number, 0 is unused."""

_ROUNDS = 50
"""Maximum number of robust fits; with real data two or three are enough."""


def fit_references(
    counts: Counts, residuals: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit per-element energies to differences of total energies, robustly.

    Minimises the soft-L1 loss of the residual per atom, so that a few outliers do not distort the fit.
    The solution lies within the span of the compositions, i.e. has the least norm, in case these do not
    determine each element's energy (water has a single ratio of H to O).

    Parameters
    ----------
    counts
        Number of atoms of each element in each frame, (frames, 119), dense or sparse.
    residuals
        Label minus prediction of each frame, (frames,), in eV.

    Returns
    -------
    references
        Energy of each element in eV, (119,); zero for elements that do not occur.
    span
        Orthonormal basis of the compositions of the frames, (rank, 119).
    """
    per_atom = residuals / counts.sum(axis=1)
    fractions, present = _fractions(counts)
    span = _span_of(fractions, present, counts.shape[1])
    design = fractions @ span[:, present].T

    solution, *_ = np.linalg.lstsq(design, per_atom, rcond=None)
    # the residual at which the loss changes from square to absolute is set by the bulk of the frames;
    # it shrinks in each round, because outliers still affect the first solutions
    before = np.inf
    for _ in range(_ROUNDS):
        errors = design @ solution - per_atom
        scale = max(1.4826 * float(np.median(np.abs(errors))), 1e-9)
        if scale > 0.99 * before:
            break
        before = scale
        solution = least_squares(
            lambda x, scale=scale: (design @ x - per_atom) / scale,
            solution,
            jac=lambda _, scale=scale: design / scale,
            loss="soft_l1",
            x_scale="jac",
        ).x
    return solution @ span, span


def composition_span(counts: Counts) -> NDArray[np.float64]:
    """Return an orthonormal basis of the frames' compositions, (rank, 119)."""
    fractions, present = _fractions(counts)
    return _span_of(fractions, present, counts.shape[1])


def _span_of(
    fractions: NDArray[np.float64], present: NDArray[np.intp], n_elements: int
) -> NDArray[np.float64]:
    _, singular, vt = np.linalg.svd(fractions, full_matrices=False)
    rank = int((singular > singular[0] * 1e-8).sum())
    span = np.zeros((rank, n_elements))
    span[:, present] = vt[:rank]
    return span


def _fractions(counts: Counts) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the fraction of each element that occurs, (frames, elements), and which elements these are."""
    present = np.flatnonzero(counts.sum(axis=0))
    found = counts[:, present]
    dense = found if isinstance(found, np.ndarray) else found.toarray()
    return dense / counts.sum(axis=1)[:, None], present


def refit_references(
    counts: Counts, residuals: NDArray[np.float64], span: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return a change of reference energies that lowers the error of frames not used in the fit.

    A constant per atom and an energy per element are tried; each is judged by fitting it to one half of the
    frames and applying it to the other.

    Parameters
    ----------
    counts, residuals
        As in :func:`fit_references`.
    span
        Compositions to which the current references were fitted, (rows, 119); nothing outside their span is
        changed.

    Returns
    -------
    change
        Energy to add to each element in eV, (119,); ``None`` if no change helps.
    """
    n_atoms = counts.sum(axis=1)
    halves = np.arange(len(residuals)) % 2 == 0
    if halves.all():
        return None
    best, least = None, float(np.abs(residuals / n_atoms).mean())
    for fit in (_constant, _by_element):
        left = np.empty(len(residuals))
        for half in (halves, ~halves):
            left[~half] = residuals[~half] - counts[~half] @ fit(
                counts[half], residuals[half], span
            )
        error = float(np.abs(left / n_atoms).mean())
        if error < least:
            best, least = fit, error
    return None if best is None else best(counts, residuals, span)


def _constant(
    counts: Counts, residuals: NDArray[np.float64], span: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the same energy for each fitted element: the median residual per atom."""
    everywhere = np.full(counts.shape[1], float(np.median(residuals / counts.sum(axis=1))))
    return everywhere @ span.T @ span


def _by_element(
    counts: Counts, residuals: NDArray[np.float64], span: NDArray[np.float64]
) -> NDArray[np.float64]:
    change, _ = fit_references(counts, residuals)
    return change @ span.T @ span


def outside_span(counts: NDArray[np.int64], span: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for which compositions, (frames, 119), the fitted ones do not determine the energy."""
    compositions = counts / np.linalg.norm(counts, axis=1, keepdims=True)
    rest = compositions - compositions @ span.T @ span
    outside: NDArray[np.bool_] = np.linalg.norm(rest, axis=1) > 1e-6
    return outside


def references_from_symbols(energies: dict[str, float], where: str) -> NDArray[np.float64]:
    """Turn ``{"H": -13.6, …}`` in eV into an array over atomic numbers, (119,).

    Raises
    ------
    ConfigError
        A key is not an element; the message names `where`.
    """
    references = np.zeros(N_ELEMENTS)
    for symbol, energy in energies.items():
        if symbol not in atomic_numbers or symbol == "X":
            msg = f"{where}: '{symbol}' is not an element; use symbols such as 'Li'."
            raise ConfigError(msg)
        references[atomic_numbers[symbol]] = float(energy)
    return references


def read_references(path: Path) -> dict[str, float]:
    """Read reference energies in eV from a JSON or YAML file that maps symbols to energies.

    Raises
    ------
    ConfigError
        The file cannot be read, or holds anything else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        energies = json.loads(text) if path.suffix == ".json" else load_yaml(text)
        found = {symbol: float(energy) for symbol, energy in dict(energies).items()}
        references_from_symbols(found, str(path))
        return found
    except (OSError, ValueError, TypeError, yaml.YAMLError) as exc:
        if isinstance(exc, ConfigError):
            raise
        msg = (
            f"{path}: not a JSON or YAML file that maps element symbols to energies in eV ({exc})."
        )
        raise ConfigError(msg) from exc
