"""Normalizers of a config: which references and scales they give, and which they leave to be fitted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.properties import ENERGY
from mattertune_nb.config.task import (
    ISOLATED_ATOMS,
    MeanStdNormalizerConfig,
    NormalizerConfig,
    PerAtomReferencingNormalizerConfig,
    RMSNormalizerConfig,
)
from mattertune_nb.model.references import read_references

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.config.properties import PropertyName


def is_open(normalizer: NormalizerConfig) -> bool:
    """Return whether a normalizer leaves anything to be fitted."""
    match normalizer:
        case PerAtomReferencingNormalizerConfig():
            return normalizer.per_element_references in (None, ISOLATED_ATOMS)
        case MeanStdNormalizerConfig():
            return normalizer.mean is None or normalizer.std is None
        case RMSNormalizerConfig():
            return normalizer.rms is None


def given_references(normalizer: NormalizerConfig) -> dict[str, float] | str | Path | None:
    """Return the references that a normalizer names: by symbol in eV, in a file, or isolated atoms."""
    if isinstance(normalizer, PerAtomReferencingNormalizerConfig):
        return normalizer.per_element_references
    return None


def given_scale(normalizer: NormalizerConfig) -> float | None:
    """Return the scale that a normalizer gives, in the property's unit; None if it is to be fitted."""
    if isinstance(normalizer, MeanStdNormalizerConfig):
        return normalizer.std
    if isinstance(normalizer, PerAtomReferencingNormalizerConfig):
        return 1.0
    return normalizer.rms


def check_references(
    normalizers: Mapping[PropertyName, list[NormalizerConfig]],
    elements: Collection[str],
    isolated: Collection[str] = (),
) -> None:
    """Refuse data with an element that is missing in the references given in the config.

    Parameters
    ----------
    normalizers
        Normalizers of each property.
    elements
        Symbols of the elements in the data.
    isolated
        Elements of which the data contain an isolated atom.

    Raises
    ------
    ConfigError
        An element is missing; the message names all such elements.
    """
    for normalizer in normalizers.get(ENERGY.name, []):
        given = given_references(normalizer)
        # a file was read by with_references_read
        known = isolated if given == ISOLATED_ATOMS else given
        if known is None or isinstance(known, (str, Path)):
            continue
        missing = ", ".join(e for e in elements if e not in known)
        if missing:
            what = "isolated atom with an energy" if given == ISOLATED_ATOMS else "energy"
            msg = (
                f"per_element_references: no {what} for {missing}, which the data hold. "
                "Add it, or leave the field unset and have references fitted."
            )
            raise ConfigError(msg)


def with_references_read(config: BackboneConfig) -> BackboneConfig:
    """Return the config with the path of a reference file replaced by the numbers in it.

    A checkpoint can then be loaded without the file.

    Raises
    ------
    ConfigError
        The file cannot be read.
    """
    normalizers = config.normalizers.get(ENERGY.name, [])
    if not any(isinstance(given_references(n), Path) for n in normalizers):
        return config
    read: list[NormalizerConfig] = []
    for normalizer in normalizers:
        given = given_references(normalizer)
        if isinstance(given, Path):
            normalizer = normalizer.model_copy(
                update={"per_element_references": read_references(given)}
            )
        read.append(normalizer)
    return config.model_copy(update={"normalizers": {**config.normalizers, ENERGY.name: read}})
