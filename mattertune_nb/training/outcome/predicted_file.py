"""A structure file with the predictions of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.data.frame_checks import check_dataset
from mattertune_nb.data.sources.configs import dataset_config
from mattertune_nb.model.outside import warn_outside_references
from mattertune_nb.training.files import check_target, write_structures
from mattertune_nb.training.outcome.models import load_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ase import Atoms

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.doctor.check import Progress
    from mattertune_nb.model.module import FinetuneModuleBase


def predict_file(
    run: str | Path, source: Path, target: Path, *, progress: Progress | None = None
) -> int:
    """Write the structures of a file with predicted energies, forces and stresses; return their number.

    All other information about a structure is kept; labels under ASE's standard names are replaced by the
    predictions.

    Parameters
    ----------
    run
        The run's directory, or a checkpoint.
    source, target
        The structures, and the extended XYZ to write.
    progress
        Called with what is done, and how many frames of all.

    Raises
    ------
    DataError
        The structures cannot be read, or contain an element that the backbone does not know, or the target
        cannot be written, see :func:`~mattertune_nb.training.files.check_target`.
    """
    check_target(target, source)
    model = load_model(run)
    dataset = dataset_config(source).create_dataset()
    check_dataset(dataset, {}, model.backbone.elements)
    warn_outside_references(model, dataset)
    write_structures(target, _predicted(model, dataset, progress))
    return len(dataset)


def _predicted(
    model: FinetuneModuleBase, dataset: AtomsDataset, progress: Progress | None
) -> Iterator[Atoms]:
    """Yield the structures with their predictions, in order."""
    from ase.calculators.singlepoint import SinglePointCalculator

    for i, result in model.property_predictor().stream(dataset):
        atoms = dataset.frame(i).copy()  # without the calculator
        for prop in PROPERTIES.values():
            atoms.info.pop(prop.ase, None)
            atoms.arrays.pop(prop.ase, None)
        for prop in (p for p in model.properties.values() if p.name not in PROPERTIES):
            # under the key of the labels; ASE's calculators know only their own names
            stored = atoms.arrays if prop.of_atoms else atoms.info
            if prop.name in result:
                stored[prop.ase] = result.pop(prop.name)
        results = {PROPERTIES[name].ase: value for name, value in result.items()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        yield atoms
        if progress is not None:
            progress("predicting", i + 1, len(dataset))
