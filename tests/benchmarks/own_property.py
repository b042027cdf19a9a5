"""A number that any structure has, learnt anew: ``own_property.py TRAIN VALIDATION [FIELD=VALUE …]``.

The volume per atom of each structure is its label, so that there is a true value for any file, and a head
on CHGNet's features is trained on it alone. Prints by how much, in relation to the true value, frames that
training never saw are missed, beside the mean of the training frames as the guess for all.
"""

from __future__ import annotations

import sys

import ase.io
import numpy as np
from rich.console import Console

import mattertune_nb as mt
from mattertune_nb.config.overrides import override_settings

VOLUME = mt.GraphPropertyConfig(name="volume", key="volume_per_atom", unit="Å³/atom")


def labelled(path: str) -> mt.AtomsListDatasetConfig:
    """Return the structures of a file with their volume per atom in Å³ as the only label."""
    frames = ase.io.read(path, ":")
    for atoms in frames:
        atoms.calc = None
        atoms.info["volume_per_atom"] = atoms.get_volume() / len(atoms)
    return mt.AtomsListDatasetConfig(atoms_list=frames)


def main(train: str, validation: str, changes: list[str]) -> None:
    """Train, and print the errors."""
    data = mt.ManualSplitDataModuleConfig(train=labelled(train), validation=labelled(validation))
    config = mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(properties=[VOLUME]),
        data=data,
        trainer=mt.TrainerConfig(
            checkpoint=mt.ModelCheckpointConfig(monitor="val/volume_mae"),
            foreign_set=None,
            walls=False,
        ),
    )
    model, _ = mt.MatterTuner(override_settings(config, changes)).tune()
    held_out = data.validation.atoms_list
    found = np.array([r["volume"] for r in model.property_predictor().predict(held_out)])
    truth = np.array([atoms.info["volume_per_atom"] for atoms in held_out])
    seen = np.array([atoms.info["volume_per_atom"] for atoms in data.train.atoms_list])
    for name, guess in (("mean of training", np.full_like(truth, seen.mean())), ("tuned", found)):
        missed = np.abs(guess - truth) / truth
        Console().print(
            f"{name}: mean {missed.mean():.2%}, median {np.median(missed):.2%}, worst {missed.max():.1%}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:3], sys.argv[3:])
