"""Sources that are downloaded once into the user's cache folder and read from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.data.dataset import AtomsDataset
from mattertune_nb.data.readers.compressed import unpacked
from mattertune_nb.data.readers.registry import open_one
from mattertune_nb.data.sources.settings import DatasetSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mattertune_nb.data.sources.frames import Frames


class FetchedSource(DatasetSettings):
    """A source that is a single file in the cache, downloaded if missing."""

    @property
    def src(self) -> Path:
        """The file; it may not exist yet."""
        raise NotImplementedError

    def fetch(self) -> None:
        """Download the data and write the file."""
        raise NotImplementedError

    def files(self) -> list[Path]:
        """Return the file."""
        return [self.src]

    def used(self, frames: Frames) -> Sequence[int]:
        """Return the positions of the `frames` that are used, and set the names of their labels."""
        return range(len(frames))

    def create_dataset(self) -> AtomsDataset:
        """Open the file, downloading it first if it is missing.

        Raises
        ------
        DataError
            It cannot be downloaded or read.
        MissingExtraError
            The package that downloads it is not installed.
        """
        if not self.src.is_file():
            self.fetch()
        path = unpacked(self.src) if self.src.suffix == ".gz" else self.src
        frames = open_one(path, "json")
        used = self.used(frames)
        return self._as_set(
            AtomsDataset(self._opened(frames, 0), str(self.src), self.keys, indices=used)
        )
