"""The way out: a tuned model as other programs load it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mattertune_nb.config.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.training.run import Run


def export(run: Run, to: str, path: str | Path | None = None) -> Path:
    """Write the best weights of a run in a format; see :meth:`Run.export`.

    Parameters
    ----------
    run
        The run.
    to
        One of :data:`FORMATS`.
    path
        The file; not given: in the run's directory.

    Raises
    ------
    ConfigError
        There is no such format for the backbone.
    DataError
        The file cannot be written.
    """
    if to not in FORMATS:
        msg = f"unknown format '{to}'.{did_you_mean(to, FORMATS)} There are {', '.join(FORMATS)}."
        raise ConfigError(msg)
    write, suffix = FORMATS[to]
    model = run.model().cpu()
    target = Path(path) if path is not None else run.path / f"{model.hparams.name}{suffix}"
    if not target.absolute().parent.is_dir():
        msg = f"{target}: there is no such folder."
        raise DataError(msg)
    try:
        write(model, target)
    except OSError as exc:
        msg = f"{target}: cannot be written ({exc.strerror})."
        raise DataError(msg) from exc
    return target


def save_vendor(model: FinetuneModuleBase, path: Path) -> None:
    """Write a `model` to `path` as its vendor's own calculator loads it, reference energies included."""
    references = model.normalization.references.cpu().numpy()
    model.backbone.save_vendor(path, np.asarray(references, dtype=np.float64))


def save_lammps(model: FinetuneModuleBase, path: Path) -> None:
    """Write a `model` to `path` as SevenNet's pair style reads it, and beside it the lines of an input."""
    if model.hparams.name != "sevennet":
        msg = (
            f"{model.backbone.label} has no pair style of LAMMPS with a file of its own; "
            "export to 'vendor' and use the vendor's interface."
        )
        raise ConfigError(msg)
    from sevenn.scripts.deploy import deploy

    checkpoint = path.with_suffix(".pth")
    save_vendor(model, checkpoint)
    deploy(checkpoint, str(path), modal=getattr(model.hparams, "modality", None))
    trained = np.flatnonzero(model.normalization.span.cpu().numpy().any(axis=0)).tolist()
    elements = " ".join(chemical_symbols[z] for z in trained) or " ".join(model.backbone.elements)
    path.with_suffix(".in").write_text(
        "# the elements at the end of pair_coeff are those of the atom types 1, 2, …, in their order\n"
        "units         metal\n"
        "atom_style    atomic\n"
        "pair_style    e3gnn\n"
        f"pair_coeff    * * {path.name} {elements}\n",
        encoding="utf-8",
    )


FORMATS: dict[str, tuple[Callable[[FinetuneModuleBase, Path], None], str]] = {
    "vendor": (save_vendor, ".pth"),
    "lammps": (save_lammps, ".pt"),
}
"""What writes each format, and how its files end."""
