"""Configs of the sources of structures, which open them as data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from mattertune_nb.config.base import setting
from mattertune_nb.data.dataset import AtomsDataset
from mattertune_nb.data.plain import as_atoms, atoms_to_plain
from mattertune_nb.data.sources.file_source import FileSource
from mattertune_nb.data.sources.frames import DBFrames
from mattertune_nb.data.sources.matbench import MatbenchDatasetConfig
from mattertune_nb.data.sources.materials_project import MPDatasetConfig
from mattertune_nb.data.sources.mattertune_names import from_mattertune
from mattertune_nb.data.sources.settings import DatasetSettings
from mattertune_nb.data.xyz.file import is_sqlite


class XYZDatasetConfig(FileSource, DatasetSettings):
    """Structures from an extended-XYZ file, or any other file that ASE reads."""

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


class DBDatasetConfig(DatasetSettings):
    """Structures from an ASE database (SQLite or JSON)."""

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


class AtomsListDatasetConfig(DatasetSettings):
    """Structures given as a list of :class:`ase.Atoms`; saved with the config as plain data.

    They are stored in the config.yaml of a run, but not in its checkpoints.
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
        frames = self._changed(self.atoms_list)
        return self._as_set(AtomsDataset(frames, "atoms_list", self.keys))

    def __eq__(self, other: object) -> bool:
        # ASE considers two Atoms equal even if their labels differ
        return isinstance(other, AtomsListDatasetConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


DatasetConfig = Annotated[
    XYZDatasetConfig
    | DBDatasetConfig
    | AtomsListDatasetConfig
    | MatbenchDatasetConfig
    | MPDatasetConfig,
    Field(discriminator="type"),
    BeforeValidator(from_mattertune),
]


def dataset_config(path: Path, **settings: Any) -> XYZDatasetConfig | DBDatasetConfig:
    """Return the config for a file: for an ASE database if it is one, else for a file of structures."""
    is_db = path.suffix.lower() == ".db" or is_sqlite(path)
    return (
        DBDatasetConfig(src=path, **settings) if is_db else XYZDatasetConfig(src=path, **settings)
    )
