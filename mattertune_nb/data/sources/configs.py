"""Where structures come from: the configs that open them as data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.config.units import LabelUnitsConfig
from mattertune_nb.data.dataset import AtomsDataset
from mattertune_nb.data.labels.reading import LabelKeys
from mattertune_nb.data.labels.units import unit_factor
from mattertune_nb.data.plain import as_atoms, atoms_to_plain
from mattertune_nb.data.sources.file_source import FileSource
from mattertune_nb.data.sources.frames import CachedFrames, DBFrames, ScaledFrames
from mattertune_nb.data.sources.mattertune_names import from_mattertune
from mattertune_nb.data.xyz.file import is_sqlite

if TYPE_CHECKING:
    from mattertune_nb.data.sources.frames import Frames


class _DatasetConfig(StrictConfig):
    """What all sources share: the names of labels."""

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
        "references, so that they are left out and told. Keep them as frames to train on them all the same.",
        label="Isolated atoms",
        options={"references": "are left out", "frames": "are frames like others"},
    )

    @property
    def keys(self) -> LabelKeys:
        """The names and units of labels."""
        return LabelKeys(self.energy_key, self.forces_key, self.stress_key, self.units)

    def _as_set(self, dataset: AtomsDataset) -> AtomsDataset:
        dataset.keeps_isolated_atoms = self.isolated_atoms == "frames"
        return dataset

    def _opened(self, frames: Frames, cache_mb: float) -> Frames:
        """Return frames with lengths in Å, of which those used last are kept."""
        unit = self.units.length
        if unit is not None and unit != "Å":
            frames = ScaledFrames(frames, unit_factor(unit))
        return CachedFrames(frames, cache_mb)


class XYZDatasetConfig(FileSource, _DatasetConfig):
    """Structures of an extended-XYZ file, or of any other file that ASE reads."""

    type: Literal["xyz"] = setting(
        "xyz", "Kind of source.", label="Kind of source", options={"xyz": "file of structures"}
    )
    cache_mb: float = setting(
        256.0,
        "Memory for parsed frames; those used last are kept. Raise it where reading is slow.",
        label="Memory for frames",
        unit="MB",
        ge=0,
    )

    def create_dataset(self) -> AtomsDataset:
        """Open the file.

        Raises
        ------
        DataError
            See :func:`~mattertune_nb.data.sources.opening.open_frames`; or `index` leaves no frame.
        """
        frames, name, indices = self.open_source()
        opened = self._opened(frames, self.cache_mb)
        return self._as_set(AtomsDataset(opened, name, self.keys, indices=indices))


class DBDatasetConfig(_DatasetConfig):
    """Structures of an ASE database (SQLite or JSON)."""

    type: Literal["db"] = setting(
        "db", "Kind of source.", label="Kind of source", options={"db": "ASE database"}
    )
    src: Path = setting(
        ...,
        "The database file of ASE. Its rows are read when they are needed, however many there are.",
        label="Database file",
        basic=True,
        files=("*.db", "*.json"),
    )
    selection: str = setting(
        "",
        "Rows to use, in ASE's syntax, e.g. 'natoms<50'; empty: all. Set it to leave out what is "
        "not converged, or for a quick look.",
        label="Selected rows",
        fixed=True,
        basic=True,
    )
    cache_mb: float = setting(
        256.0,
        "Memory for rows read; those used last are kept. Raise it where reading is slow.",
        label="Memory for rows",
        unit="MB",
        ge=0,
    )

    def files(self) -> list[Path]:
        """Return the database file."""
        return [self.src]

    def create_dataset(self) -> AtomsDataset:
        """Open the database.

        Raises
        ------
        DataError
            See :class:`~mattertune_nb.data.sources.frames.DBFrames`.
        """
        rows = DBFrames(self.src, self.selection)
        cached = self._opened(rows, self.cache_mb)
        return self._as_set(
            AtomsDataset(cached, str(self.src), self.keys, unit="row id", numbers=rows.ids)
        )


AtomsField = Annotated[
    Any,
    BeforeValidator(as_atoms),
    PlainSerializer(atoms_to_plain, return_type=dict[str, Any]),
    WithJsonSchema({"type": "object", "title": "ase.Atoms"}),
]


class AtomsListDatasetConfig(_DatasetConfig):
    """Structures given as a list of :class:`ase.Atoms`; saved with the config as plain data.

    The config.yaml of a run holds them, its checkpoints do not.
    """

    type: Literal["atoms_list"] = setting(
        "atoms_list",
        "Kind of source.",
        label="Kind of source",
        options={"atoms_list": "structures from Python"},
    )
    atoms_list: list[AtomsField] = setting(
        ...,
        "The structures with their labels; copied, so that later changes do not enter.",
        label="Structures",
        basic=True,
        min_length=1,
    )

    def create_dataset(self) -> AtomsDataset:
        """Wrap the list."""
        unit = self.units.length
        frames = (
            self.atoms_list if unit is None else ScaledFrames(self.atoms_list, unit_factor(unit))
        )
        return self._as_set(AtomsDataset(frames, "atoms_list", self.keys))

    def __eq__(self, other: object) -> bool:
        # two Atoms are equal to ASE whatever their labels are
        return isinstance(other, AtomsListDatasetConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


DatasetConfig = Annotated[
    XYZDatasetConfig | DBDatasetConfig | AtomsListDatasetConfig,
    Field(discriminator="type"),
    BeforeValidator(from_mattertune),
]


def dataset_config(path: Path, **settings: Any) -> XYZDatasetConfig | DBDatasetConfig:
    """Return the config of a file: of an ASE database where it is one, else of a file of structures."""
    is_db = path.suffix.lower() == ".db" or is_sqlite(path)
    return (
        DBDatasetConfig(src=path, **settings) if is_db else XYZDatasetConfig(src=path, **settings)
    )
