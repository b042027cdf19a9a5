"""Traits that a backbone declares it lacks: measured, but not counted as failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mattertune_nb.backbones.base import Trait


class Traits:
    """Measured deviations for the traits that a backbone lacks.

    Parameters
    ----------
    lacks
        As in ``BackboneConfig.lacks``.
    """

    def __init__(self, lacks: Mapping[Trait, str]) -> None:
        self._found: dict[Trait, list[str]] = {trait: [] for trait in lacks}

    def unless_lacking(self, trait: Trait, failures: Iterator[str]) -> Iterator[str]:
        """Yield the failures, or record them as measurements if the backbone lacks the trait."""
        if trait in self._found:
            self._found[trait].extend(failures)
        else:
            yield from failures

    def measured(self) -> dict[str, str]:
        """Return the recorded measurements, by trait."""
        return {
            trait: "; ".join(found) if found else "nothing that these structures show"
            for trait, found in self._found.items()
        }
