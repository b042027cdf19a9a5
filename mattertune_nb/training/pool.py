"""What is known about structures without labels: novelty, uncertainty of an ensemble, distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.properties import FORCES
from mattertune_nb.data.content import frame_keys
from mattertune_nb.data.division.similar import surroundings
from mattertune_nb.model.loader import GraphDataset
from mattertune_nb.model.novelty import describe
from mattertune_nb.model.spread import SPREAD
from mattertune_nb.predictor import PropertyPredictor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.module import FinetuneModuleBase


def farthest_points(
    features: NDArray[np.float64], n: int, known: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return `n` points, each as far as possible from the known and the previous ones, and their distances.

    Parameters
    ----------
    features
        (N, d) features of the points.
    n
        Number of points to choose.
    known
        (M, d) features of the points already present; none: the first point is the one nearest to the mean,
        at distance 0.
    """
    from scipy.spatial.distance import cdist

    chosen, far = [], []
    if known is None or not len(known):
        first = int(np.linalg.norm(features - features.mean(axis=0), axis=1).argmin())
        chosen, far = [first], [0.0]
        nearest = np.linalg.norm(features - features[first], axis=1)
    else:
        nearest = cdist(features, known).min(axis=1)
    nearest[chosen] = -1.0
    while len(chosen) < n:
        best = int(nearest.argmax())
        chosen.append(best)
        far.append(float(nearest[best]))
        nearest = np.minimum(nearest, np.linalg.norm(features - features[best], axis=1))
        nearest[chosen] = -1.0
    return np.array(chosen, dtype=np.int64), np.array(far)


def free_positions(pool: AtomsDataset, known: AtomsDataset | None) -> NDArray[np.int64]:
    """Return the positions of unknown structures, equal ones once, ascending."""
    names = frame_keys(pool).structure
    _, first = np.unique(names, return_index=True)
    first = np.sort(first)
    if known is not None:
        first = first[~np.isin(names[first], frame_keys(known).structure)]
    return first


def force_spreads(
    model: FinetuneModuleBase, pool: AtomsDataset, progress: Callable[[str, int, int], object]
) -> NDArray[np.float64]:
    """Return the largest spread of the force on an atom of each structure, (N,) in eV/Å."""
    name = FORCES.name + SPREAD
    found = np.zeros(len(pool))
    for index, predicted in PropertyPredictor(model).stream(pool, [name]):
        found[index] = np.linalg.norm(predicted[name], axis=1).max(initial=0.0)
        progress("spread of forces", index + 1, len(pool))
    return found


def described(
    model: FinetuneModuleBase | None,
    pool: AtomsDataset,
    known: AtomsDataset | None,
    progress: Callable[[str, int, int], object],
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the descriptors of the structures in the pool, (N, d), and of the known ones."""
    sets = {"the pool": pool} | ({} if known is None else {"known structures": known})
    has_features = model is not None and model.backbone.n_features is not None
    elements: list[int] = []
    if not has_features:
        elements = sorted(
            {z for s in sets.values() for i in range(len(s)) for z in s[i].numbers.tolist()}
        )
    found = []
    for name, frames in sets.items():

        def tell(done: int, name: str = name, n: int = len(frames)) -> None:
            progress(f"descriptors of {name}", done, n)

        if model is not None and has_features:
            graphs = GraphDataset(frames, model.backbone)
            found.append(describe(graphs, np.arange(len(frames)), model.backbone, tell))
            continue
        rows = []
        for i in range(len(frames)):
            rows.append(surroundings(frames[i], elements))
            tell(i + 1)
        found.append(np.array(rows))
    return found[0], found[1] if known is not None else None
