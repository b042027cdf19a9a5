"""Settings common to all sources of structures: names and units of their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.config.units import LabelUnitsConfig
from mattertune_nb.data.labels.reading import LabelKeys
from mattertune_nb.data.labels.units import unit_factor
from mattertune_nb.data.sources.frames import CachedFrames, InformedFrames, ScaledFrames

if TYPE_CHECKING:
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.data.sources.frames import Frames


class DatasetSettings(StrictConfig):
    """Settings common to all sources: the names of labels."""

    energy_key: str | None = setting(
        None,
        "Key of the total energy; not set: ASE's standard 'energy'. Several with '|' between them: the first "
        "that a frame has.",
        label="Energy label",
        fixed=True,
        min_length=1,
        group="names of labels",
    )
    forces_key: str | None = setting(
        None,
        "Key of the forces, or of a gradient, whose negative they are; not set: ASE's standard 'forces'.",
        label="Forces label",
        fixed=True,
        min_length=1,
        group="names of labels",
    )
    stress_key: str | None = setting(
        None,
        "Key of the stress in 6 or 9 numbers, or of a virial, which is divided by -volume; not set: ASE's "
        "standard 'stress'.",
        label="Stress label",
        fixed=True,
        min_length=1,
        group="names of labels",
    )
    units: LabelUnitsConfig = setting(
        LabelUnitsConfig,
        "Units of labels and lengths, where they are not eV and Å and the file does not state them.",
        label="Units",
        group="names of labels",
    )
    isolated_atoms: Literal["references", "frames"] = setting(
        "references",
        "What single atoms without periodicity, or with config_type=IsolatedAtom, are: their energies are "
        "references, so they are left out, with a note. Keep them as frames to train on them all the same.",
        label="Isolated atoms",
        options={"references": "are left out", "frames": "are frames like others"},
    )

    info: dict[str, int | float | str] = setting(
        dict,
        "What structures have in their info where their file does not say it, e.g. {'head': 'r2SCAN'} or "
        "{'charge': 1}: the level of theory of a whole data set, for a model with several, or a charge.",
        label="The same for all frames",
        fixed=True,
    )

    @property
    def keys(self) -> LabelKeys:
        """The names and units of labels."""
        return LabelKeys(self.energy_key, self.forces_key, self.stress_key, self.units)

    def _as_set(self, dataset: AtomsDataset) -> AtomsDataset:
        dataset.keeps_isolated_atoms = self.isolated_atoms == "frames"
        return dataset

    def _opened(self, frames: Frames, cache_mb: float) -> Frames:
        """Return the frames as used, with the most recently used ones cached."""
        return CachedFrames(self._changed(frames), cache_mb)

    def _changed(self, frames: Frames) -> Frames:
        """Return the frames with lengths in Å, and with the values common to all of them."""
        unit = self.units.length
        if unit is not None and unit != "Å":
            frames = ScaledFrames(frames, unit_factor(unit))
        return InformedFrames(frames, self.info) if self.info else frames
