"""An ensemble's spread orders its errors: on real data, and not by chance."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from scipy.stats import spearmanr

import mattertune_nb as mt
from mattertune_nb.training.ensemble import new_ensemble
from mattertune_nb.training.outcome.spread import calibrate

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def config_of(root, epochs, copies=1):
    train, validation = (
        mt.XYZDatasetConfig(src=mt.demo_data(part), index=index)
        for part, index in (("train", ":24"), ("validation", ":8"))
    )
    return mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(last_block_copies=copies),
        data=mt.ManualSplitDataModuleConfig(train=train, validation=validation, batch_size=4),
        trainer=mt.TrainerConfig(
            max_epochs=epochs, accelerator="cpu", foreign_set=None, walls=False
        ),
        run=mt.RunConfig(root=root, name="sure"),
    )


def of_seeds(root):
    return new_ensemble(config_of(root, 4), 3).train().model()


def of_copies(root):
    return mt.MatterTuner(config_of(root, 9, copies=3)).tune().run.model()


@pytest.mark.parametrize("trained", [of_seeds, of_copies])
def test_forces_are_wrong_where_members_disagree(trained, tmp_path):
    model = trained(tmp_path)
    sizes, spreads = [], []
    for atoms in ase.io.read(mt.demo_data("test"), ":30"):
        labels = atoms.get_forces()
        atoms.calc = model.ase_calculator()
        sizes.append(np.abs(atoms.get_forces() - labels).ravel())
        spreads.append(atoms.calc.results["forces_std"].ravel())
    size, spread = np.concatenate(sizes), np.concatenate(spreads)
    found = spearmanr(size, spread)
    assert found.statistic > 0.15
    assert found.pvalue < 1e-6
    # the quarter of the components with the largest spread is the worst known one
    order = np.argsort(spread)
    n = len(order) // 4
    assert size[order[-n:]].mean() > 1.3 * size[order[:n]].mean()
    if trained is of_seeds:  # not only because some atoms of the molecule are harder than others
        of_another_frame = np.concatenate(spreads[1:] + spreads[:1])
        assert found.statistic > spearmanr(size, of_another_frame).statistic + 0.03
    told = calibrate(model, mt.open_dataset(mt.demo_data("test")))["forces"].correlation
    assert told == pytest.approx(found.statistic, abs=0.1)
