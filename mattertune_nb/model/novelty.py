"""Distances of structures from the training structures, in the feature space of a backbone.

A structure is described by the mean of the features of its atoms (``Backbone.features``). Distances are
Euclidean, in units of the median distance between two randomly drawn training structures, so 1 is as far
as training structures are from one another, and 0 is a training structure.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.data.batches.packing import pack_in_order
from mattertune_nb.data.cache_folder import cache_folder, load_array, save_array
from mattertune_nb.data.content import frame_keys
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.model.weights import weights_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from mattertune_nb.backbones.backbone import Backbone
    from mattertune_nb.model.loader import GraphDataset

_MOST_TRAINING, _MOST_OTHERS, _MOST_PAIRED = 4000, 2000, 1000
"""Maximum numbers of structures described and compared; if there are more, evenly spread ones."""

_ATOMS = 2000
_VERSION = 1

NEAR = 0.15
"""Random splits of varied structures are at 0.3 to 0.5; of a few structures rattled or strained, at 0.05."""


@dataclass(frozen=True)
class Novelty:
    """Distances of one data set to the training set.

    Attributes
    ----------
    positions
        Positions of the structures in their data set, (n,).
    distances
        Distances to the nearest training structure, (n,); 1: as far as training structures from one another.
    """

    positions: NDArray[np.int64]
    distances: NDArray[np.float64]

    @property
    def median(self) -> float:
        """The median distance."""
        return float(np.median(self.distances))


def measure_novelty(datasets: Mapping[str, GraphDataset], backbone: Backbone) -> dict[str, Novelty]:
    """Measure how far the structures of the other data sets are from those of ``"train"``.

    Parameters
    ----------
    datasets
        The data sets, including ``"train"``.
    backbone
        The model whose features are used; left unchanged.

    Returns
    -------
    dict
        By data set; empty if the backbone has no features or the training structures are all identical.
    """
    from scipy.spatial.distance import cdist

    if backbone.n_features is None:
        return {}
    described = {}
    for stage, dataset in datasets.items():
        most = _MOST_TRAINING if stage == "train" else _MOST_OTHERS
        positions = evenly_spread(len(dataset), most)
        described[stage] = positions, describe(dataset, positions, backbone)
    training = described.pop("train")[1]
    unit = usual_distance(training)
    if not unit > 0:
        return {}
    return {
        stage: Novelty(positions, cdist(features, training).min(axis=1) / unit)
        for stage, (positions, features) in described.items()
    }


def describe(
    dataset: GraphDataset,
    positions: NDArray[np.int64],
    backbone: Backbone,
    progress: Callable[[int], object] = lambda _: None,
) -> NDArray[np.float64]:
    """Return the mean features of structures, (n, n_features), cached in the user's cache folder.

    Parameters
    ----------
    dataset, positions
        The structures.
    backbone
        The model whose features are used; left unchanged.
    progress
        Called now and then with the number of structures described.
    """
    frames = dataset.frames.take(positions)
    cache = _cache_file(frame_keys(frames).structure, backbone)
    kept = load_array(cache)
    if kept is not None and kept.shape == (len(positions), backbone.n_features):
        return kept
    parts = []
    device = next(backbone.parameters()).device
    was_training = backbone.training
    backbone.eval()
    try:
        for part in pack_in_order(frames.n_atoms(), _ATOMS):
            # without a loader, which would draw a random number and so change the run
            batch = dataset.batch(positions[part]).to(device)
            features = backbone.features(batch).double()
            sums = features.new_zeros(len(part), features.shape[1])
            means = sums.index_add(0, batch.batch, features) / batch.n_atoms[:, None]
            parts.append(means.cpu().numpy())
            progress(int(part[-1]) + 1)
    finally:
        backbone.train(was_training)
    described: NDArray[np.float64] = np.concatenate(parts)
    save_array(cache, described)
    return described


def too_near(novelty: Novelty) -> str | None:
    """Return a sentence if structures are much nearer to training than its own to one another, else None."""
    if novelty.median >= NEAR:
        return None
    return (
        f"the validation frames resemble training frames: their distance to the nearest one is "
        f"{novelty.median:.2g} of that between two training frames. Their errors apply to such frames, and "
        "may say little about others; validate on a separate file, or on whole trajectories or compositions "
        "(data.split: groups or composition)."
    )


def usual_distance(features: NDArray[np.float64]) -> float:
    """Return the median distance between structures, of at most a thousand; 0 for fewer than two.

    Parameters
    ----------
    features
        Features of the structures, (n, d).
    """
    from scipy.spatial.distance import cdist

    n = len(features)
    if n < 2:
        return 0.0
    chosen = features[evenly_spread(n, _MOST_PAIRED)]
    pairs = cdist(chosen, chosen)[np.triu_indices(len(chosen), 1)]
    return float(np.median(pairs))


def _cache_file(structure: NDArray[np.uint64], backbone: Backbone) -> Path:
    of = f"{_VERSION} {backbone.graph_kind} {weights_digest(backbone.state_dict())}"
    content = hashlib.sha256(of.encode() + structure.tobytes())
    return cache_folder("descriptors") / f"{content.hexdigest()[:32]}.npy"
