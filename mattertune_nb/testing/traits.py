"""What a backbone is not, by its own word: measured, and no failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mattertune_nb.backbones.base import Trait


class Traits:
    """How far off the traits are that a backbone lacks.

    Parameters
    ----------
    lacks
        As ``BackboneConfig.lacks``.
    """

    def __init__(self, lacks: Mapping[Trait, str]) -> None:
        self._found: dict[Trait, list[str]] = {trait: [] for trait in lacks}

    def unless_lacking(self, trait: Trait, failures: Iterator[str]) -> Iterator[str]:
        """Yield what is wrong, or keep it as a measurement where the backbone lacks the trait."""
        if trait in self._found:
            self._found[trait].extend(failures)
        else:
            yield from failures

    def measured(self) -> dict[str, str]:
        """Return what was kept, by trait."""
        return {
            trait: "; ".join(found) if found else "nothing that these structures show"
            for trait, found in self._found.items()
        }
