"""What there is to learn in a data set: ``python tests/benchmarks/errors_alike.py TRAIN VALIDATION``.

Two backbones that were trained apart make errors of their own, and errors in common, which come from what
neither knows of the labels (another magnetic state, other settings of the DFT). Fine-tuning can remove the
latter only where frames of the training set tell of them: so the errors of each validation frame are also
compared with those of the training frame that is nearest to it.
"""

from __future__ import annotations

import itertools
import sys

import ase.io
import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from scipy.optimize import linear_sum_assignment

import mattertune_nb as mt

SHELLS = (0.0, 0.03, 0.1, 0.3, np.inf)
"""Bounds of the distance to the nearest training frame, Å."""


def errors(backbone: mt.BackboneConfig, frames: list[Atoms]) -> list[np.ndarray]:
    """Return the errors of an untuned backbone's forces, eV/Å, of shape (n, 3) a frame."""
    predictions = mt.FinetuneModuleBase(backbone).property_predictor().predict(frames)
    return [
        prediction["forces"] - atoms.get_forces()
        for prediction, atoms in zip(predictions, frames, strict=True)
    ]


def match(atoms: Atoms, other: Atoms) -> tuple[float, np.ndarray]:
    """Return the root mean square distance in Å of two frames of one composition, and whose atom is whose."""
    shifts = atoms.get_scaled_positions()[:, None] - other.get_scaled_positions()[None]
    vectors = shifts.reshape(-1, 3) @ atoms.cell[:]
    distances = find_mic(vectors, atoms.cell)[1].reshape(len(atoms), len(other))
    distances[atoms.numbers[:, None] != other.numbers[None]] = 1e3
    rows, columns = linear_sum_assignment(distances**2)
    return float(np.sqrt((distances[rows, columns] ** 2).mean())), columns


def nearest(atoms: Atoms, frames: list[Atoms]) -> tuple[float, int, np.ndarray] | None:
    """Return distance, number and order of atoms of the nearest frame of the same composition."""
    same = [i for i, f in enumerate(frames) if sorted(f.numbers) == sorted(atoms.numbers)]
    found = [(*match(atoms, frames[i]), i) for i in same]
    if not found:
        return None
    distance, order, i = min(found, key=lambda one: one[0])
    return distance, i, order


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(train: str, validation: str) -> None:
    """Print how alike the errors are."""
    known, unseen = ase.io.read(train, ":"), ase.io.read(validation, ":")
    chgnet, sevennet = mt.CHGNetBackboneConfig(), mt.SevenNetBackboneConfig()
    own, others = errors(chgnet, unseen), errors(sevennet, unseen)
    pair = np.concatenate(own).ravel(), np.concatenate(others).ravel()
    common = np.corrcoef(*pair)[0, 1]
    say(
        f"force errors, {validation}: CHGNet {1e3 * np.abs(pair[0]).mean():.1f}, SevenNet-0 "
        f"{1e3 * np.abs(pair[1]).mean():.1f} meV/Å; their correlation {common:.2f}. With only the common "
        f"part left they fall by {1 - np.sqrt(common):.0%} (root mean square)."
    )
    of_known = errors(chgnet, known)
    found = [nearest(atoms, known) for atoms in unseen]
    for low, high in itertools.pairwise(SHELLS):
        rows = [(e, f) for e, f in zip(own, found, strict=True) if f and low <= f[0] < high]
        if rows:
            here = np.concatenate([e for e, _ in rows])
            there = np.concatenate([of_known[i][order] for _, (_, i, order) in rows])
            alike = np.corrcoef(here.ravel(), there.ravel())[0, 1]
            before, after = 1e3 * np.abs(here).mean(), 1e3 * np.abs(here - there).mean()
            say(
                f"nearest training frame at {low} to {high} Å: {len(rows)} frames, correlation with its "
                f"errors {alike:.2f}, mean error {before:.1f}, less its errors {after:.1f} meV/Å"
            )
    say(f"no training frame of the same composition: {found.count(None)} frames")


if __name__ == "__main__":
    main(*sys.argv[1:])
