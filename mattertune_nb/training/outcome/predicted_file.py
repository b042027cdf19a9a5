"""A structure file with the predictions of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.config.errors import DataError
from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.data.sources.configs import dataset_config
from mattertune_nb.data.validation import check_dataset
from mattertune_nb.training.files import write_structures
from mattertune_nb.training.outcome.models import load_model

if TYPE_CHECKING:
    from pathlib import Path


def predict_file(run: str | Path, source: Path, target: Path) -> int:
    """Write the structures of a file with predicted energies, forces and stresses; return their number.

    All other information about a structure is kept; labels under ASE's standard names are replaced by the
    predictions.

    Raises
    ------
    DataError
        The structures cannot be read, or contain an element that the backbone does not know, or the target
        cannot be written or is the source.
    """
    from ase.calculators.singlepoint import SinglePointCalculator

    if target.is_dir() or not target.absolute().parent.is_dir():
        reason = "is a folder" if target.is_dir() else "the folder does not exist"
        msg = f"{target}: {reason}. Name a file to write to, in a folder that exists."
        raise DataError(msg)
    if target.exists() and source.exists() and target.samefile(source):
        msg = f"{target}: the predictions would replace the labels in it. Name another file to write to."
        raise DataError(msg)
    model = load_model(run)
    dataset = dataset_config(source).create_dataset()
    check_dataset(dataset, {}, model.backbone.elements)
    frames = [dataset.frame(i).copy() for i in range(len(dataset))]  # without the calculator
    for atoms, result in zip(frames, model.property_predictor().predict(frames), strict=True):
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
    write_structures(target, frames)
    return len(frames)
