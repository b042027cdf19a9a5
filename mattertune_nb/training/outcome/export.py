"""Exports a tuned model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from ase.io.lammpsdata import write_lammps_data

from mattertune_nb.backbones.guard import guarded, quiet
from mattertune_nb.config.errors import ConfigError, DataError, MatterTuneError, did_you_mean
from mattertune_nb.config.places import path_of
from mattertune_nb.model.archive import SUFFIX, save_archive
from mattertune_nb.model.loading import contents_of
from mattertune_nb.training.dft_inputs import in_a_box
from mattertune_nb.training.outcome.models import load_model, records_of
from mattertune_nb.training.records.split import datasets_of
from mattertune_nb.training.records.versions import versions
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.training.written_file import WrittenFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.config.places import RunLike
    from mattertune_nb.model.module import FinetuneModuleBase


def export(
    run: str | Path | RunLike, to: str, path: str | Path | None = None, member: int | None = None
) -> Path:
    """Write the best weights of a run in a format; see :meth:`Run.export`.

    Parameters
    ----------
    run
        The run, or its directory.
    to
        One of :data:`FORMATS`.
    path
        The file; by default in the run's directory.
    member
        Index of the copy of the last block to write, if there are copies.

    Raises
    ------
    ConfigError
        The format does not exist for this backbone.
    DataError
        The file cannot be written.
    """
    if to not in FORMATS:
        msg = f"unknown format '{to}'.{did_you_mean(to, FORMATS)} There are {', '.join(FORMATS)}."
        raise ConfigError(msg)
    write, suffix = FORMATS[to]
    model = load_model(run).cpu()
    members = model.backbone.members
    if member is not None:
        model = model.member(member)
    elif members is not None and to != "safetensors":
        msg = (
            f"export: the model is the mean over {members.n} copies of its last block, which other programs "
            f"do not know. Choose one of them, a model by itself: member=0 to {members.n - 1}."
        )
        raise ConfigError(msg)
    target = Path(path) if path is not None else path_of(run) / f"{model.hparams.name}{suffix}"
    if not target.absolute().parent.is_dir():
        msg = f"{target}: the folder does not exist."
        raise DataError(msg)
    RunDirectory(path_of(run)).refuse_own(target, "export")
    if suffix == SUFFIX and target.suffix != SUFFIX:
        msg = f"{target}: an archive is recognised by its ending. Name it {target.with_suffix(SUFFIX)}."
        raise ConfigError(msg)
    try:
        with guarded(), quiet():  # vendors print what they build, and draw random weights for it
            if to == "lammps":
                save_lammps(model, target, _first_frame(run))
            else:
                write(model, target)
    except (OSError, RuntimeError) as exc:
        msg = f"{target}: cannot be written ({_why(exc)})."
        raise DataError(msg) from exc
    return WrittenFile(target)


def _why(error: OSError | RuntimeError) -> str:
    """Return why a file could not be written; other errors of torch are raised again."""
    if isinstance(error, OSError):
        return str(error.strerror)
    if "PyTorchFileWriter" not in (text := str(error)) and "inline_container" not in text:
        raise error
    return text.rpartition("strerror: ")[2] if "strerror: " in text else "the disk may be full"


def save_vendor(model: FinetuneModuleBase, path: Path) -> None:
    """Write a `model` to `path` as its vendor's own calculator loads it, reference energies included."""
    model.backbone.save_vendor(path, _references(model))


def save_lammps(model: FinetuneModuleBase, path: Path, atoms: Atoms | None = None) -> None:
    """Write a `model` to `path` as its vendor's pair style reads it, and an input beside it.

    Parameters
    ----------
    model
        The model.
    path
        The file; the input has its name and the ending ``.in``.
    atoms
        A structure for the data file that makes the input complete, periodic or in a box with vacuum.
    """
    style = model.backbone.save_lammps(path, _references(model))
    trained = np.flatnonzero(model.normalization.span.cpu().numpy().any(axis=0)).tolist()
    elements = [chemical_symbols[z] for z in trained] or list(model.backbone.elements)
    data = None if atoms is None else path.with_suffix(".data")
    if atoms is not None and data is not None:
        # vacuum in place of edges, which not every pair style knows; a box there may be too small for that
        boxed = atoms.copy()
        boxed.cell[~atoms.pbc] = 0.0
        boxed = in_a_box(boxed)
        boxed.pbc = True
        boxed.wrap()
        write_lammps_data(data, boxed, specorder=elements, masses=True, units="metal")
    numbers = {symbol: atomic_numbers[symbol] for symbol in elements}
    lines = style.lines(numbers, None if data is None else data.name)
    path.with_suffix(".in").write_text(lines, encoding="utf-8")


def _first_frame(run: str | Path | RunLike) -> Atoms | None:
    """Return a structure that a run was trained on, if it can still be read."""
    path = path_of(run)
    if not path.is_dir():
        return None
    try:
        return datasets_of(records_of(path))["train"].frame(0)
    except (MatterTuneError, OSError, KeyError):
        return None


def save_safetensors(model: FinetuneModuleBase, path: Path) -> None:
    """Write a `model` to `path` for archiving: tensors and JSON, which this package can load again."""
    save_archive(contents_of(model) | {"versions": versions()}, path)


def _references(model: FinetuneModuleBase) -> NDArray[np.float64]:
    return np.asarray(model.normalization.references.cpu().numpy(), dtype=np.float64)


FORMATS: dict[str, tuple[Callable[[FinetuneModuleBase, Path], None], str]] = {
    "vendor": (save_vendor, ".pth"),
    "lammps": (save_lammps, ".pt"),
    "safetensors": (save_safetensors, SUFFIX),
}
"""Writer and file extension of each format."""
