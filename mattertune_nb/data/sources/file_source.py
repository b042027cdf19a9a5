"""Settings of a source made of one or several files of any format."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import field_validator, model_validator

from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.config.errors import DataError
from mattertune_nb.data.sources.many import ManyFrames
from mattertune_nb.data.sources.opening import open_frames, source_files
from mattertune_nb.data.sources.slices import read_slice
from mattertune_nb.data.xyz.file import STRUCTURE_FILES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.data.sources.frames import Frames


class FileSource(StrictConfig):
    """Files, and how they are read."""

    src: Path = setting(
        ...,
        "The file, a folder with files, or a pattern such as 'runs/*/OUTCAR'; extended XYZ is read frame by "
        "frame, however long it is.",
        label="File",
        basic=True,
        files=STRUCTURE_FILES,
    )
    index: str = setting(
        ":",
        "Frames to use, as a Python slice: ':100' the first hundred, '::10' every tenth. Set it "
        "for a quick look, or where neighbours of a trajectory are alike.",
        label="Frames",
        fixed=True,
    )
    further: list[Path] = setting(
        list,
        "Further files, folders or patterns whose frames follow those of the first; `src` may be given as a "
        "list as well.",
        label="Further files",
    )
    format: str | None = setting(
        None,
        "Format, where it cannot be told from the file: 'extxyz', 'json', 'deepmd', 'cp2k', or one of "
        "ASE's, such as 'vasp-out'.",
        label="Format",
        min_length=1,
    )
    skip_bad_files: bool = setting(
        False,
        "Of several files, leave out those that cannot be read, and say how many they are.",
        label="Leave out bad files",
    )

    unconverged: Literal["refuse", "skip", "keep"] = setting(
        "refuse",
        "What is done about frames of VASP or Quantum ESPRESSO whose electrons did not converge within the "
        "steps (NELM, electron_maxstep): their energies and forces are not those of the method.",
        label="Unconverged frames",
        options={
            "refuse": "are an error",
            "skip": "are left out, and counted",
            "keep": "are used as they are",
        },
    )

    @field_validator("index")
    @classmethod
    def _check_index(cls, value: str) -> str:
        read_slice(value)
        return value

    @model_validator(mode="before")
    @classmethod
    def _read_list(cls, data: Any) -> Any:
        """Accept a list of files given as `src`."""
        if isinstance(data, dict) and isinstance(data.get("src"), (list, tuple)) and data["src"]:
            first, *others = data["src"]
            return data | {"src": first, "further": [*others, *data.get("further", ())]}
        return data

    def files(self) -> list[Path]:
        """Return the files to read, including those in a folder or matching a pattern.

        Raises
        ------
        DataError
            A folder or pattern contains none.
        """
        return source_files([self.src, *self.further])

    def open_source(self) -> tuple[Frames, str, NDArray[np.int64]]:
        """Open the files; a warning gives the number of unreadable files left out.

        Returns
        -------
        frames
            All of them.
        name
            Their name in messages.
        indices
            Positions of the frames used, (n,), int64.

        Raises
        ------
        DataError
            See :func:`~mattertune_nb.data.sources.opening.open_frames`; or `index` leaves no frame, or
            frames did not converge.
        """
        src = [self.src, *self.further] if self.further else self.src
        frames = open_frames(src, self.format, skip_bad=self.skip_bad_files)
        name = f"{self.src} and {len(self.further)} others" if self.further else str(self.src)
        skipped = getattr(frames, "skipped", ())
        if skipped:
            text = (
                f"{name}: {len(skipped)} files cannot be read and are left out, e.g. {skipped[0]}"
            )
            warnings.warn(text, UserWarning, stacklevel=3)
        indices = np.arange(len(frames))[read_slice(self.index)]
        if not len(indices):
            msg = f"{name}: index '{self.index}' leaves none of its {len(frames)} frames."
            raise DataError(msg)
        return frames, name, self._converged(frames, name, indices)

    def _converged(
        self, frames: Frames, name: str, indices: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the frames to use, treating unconverged ones according to the setting."""
        marked = list(getattr(frames, "unconverged", ()))
        bad = indices[np.isin(indices, marked)]
        if self.unconverged == "keep" or not len(bad):
            return indices
        first = frames.where(int(bad[0])) if isinstance(frames, ManyFrames) else f"frame {bad[0]}"
        told = f"{name}: the electrons of {len(bad)} of {len(indices)} frames did not converge ({first}"
        told += " and others)" if len(bad) > 1 else ")"
        if self.unconverged == "refuse" or len(bad) == len(indices):
            msg = (
                f"{told}. Compute them again with more steps (NELM of VASP, electron_maxstep of pw.x); "
                "`unconverged: skip` leaves them out, `keep` uses them."
            )
            raise DataError(msg)
        warnings.warn(f"{told}, and are left out", UserWarning, stacklevel=4)
        return indices[~np.isin(indices, bad)]
