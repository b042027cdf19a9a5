"""Optional uses of a data file that a form offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.config.properties import ENERGY, STRESSES
from mattertune_nb.config.task import (
    ISOLATED_ATOMS,
    PerAtomReferencingNormalizerConfig,
    StressesPropertyConfig,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mattertune_nb.config.model import ModelConfig
    from mattertune_nb.data.contents import Contents

_REFERENCES = PerAtomReferencingNormalizerConfig(per_element_references=ISOLATED_ATOMS)

TEXTS = {
    STRESSES.name: "The file contains stresses: train on them too",
    "references": "The file has isolated atoms: use their energies as references",
}
"""Button text of each offer."""


def offers_of(contents: Contents, model: ModelConfig) -> list[str]:
    """Return what can be offered for the contents of a file and is not set already."""
    names = []
    if contents.labels[STRESSES.name] and STRESSES.name not in model.property_names:
        names.append(STRESSES.name)
    if contents.has_references and _REFERENCES not in model.normalizers.get(ENERGY.name, []):
        names.append("references")
    return names


def take_offer(name: str, model: ModelConfig, contents: Sequence[Contents | None]) -> None:
    """Change a model's settings as offered.

    Parameters
    ----------
    name
        Name of the offer.
    model
        The settings to change.
    contents
        What is known about each data file.
    """
    if name == "references":
        others = [
            n
            for n in model.normalizers.get(ENERGY.name, [])
            if not isinstance(n, PerAtomReferencingNormalizerConfig)
        ]
        model.normalizers = {**model.normalizers, ENERGY.name: [_REFERENCES.model_copy(), *others]}
    elif STRESSES.name not in model.property_names:
        # frames without stresses train on their other labels
        is_whole = all(c is not None and c.labels[STRESSES.name] == c.n_frames for c in contents)
        added = StressesPropertyConfig(missing="error" if is_whole else "mask")
        model.properties = [*model.properties, added]
