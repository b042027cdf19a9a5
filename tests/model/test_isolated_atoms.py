"""References that give isolated atoms the energies which they have in the data."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

import mattertune_nb as mt
from mattertune_nb.training.outcome.models import load_model

BY_ATOMS = mt.PerAtomReferencingNormalizerConfig(per_element_references="isolated_atoms")
CASES = Path(__file__).parents[3] / "shared" / "cases"


def atom(symbol="Cu", energy=-5.5):
    atoms = Atoms(symbol, [[0, 0, 0]])
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=[[0, 0, 0]])
    return atoms


@pytest.fixture
def config(morse_config, copper_xyz, tmp_path):
    """Return a config whose file has atoms beside its fourteen frames, and by which they are references."""

    def build(*atoms):
        ase.io.write(tmp_path / "with.xyz", [*ase.io.read(copper_xyz, ":"), *atoms])
        made = morse_config(model={"normalizers": {"energy": [BY_ATOMS]}}, max_epochs=1)
        made.data.dataset = mt.XYZDatasetConfig(src=tmp_path / "with.xyz")
        return made

    return build


def test_the_model_has_the_energies_of_the_atoms_before_the_first_step(config):
    result = mt.MatterTuner(config(atom(), atom())).tune()
    # the Morse potential has none for an atom by itself
    assert float(result.model.normalization.references[29]) == -5.5
    assert result.model.normalization.extrapolates(np.eye(119, dtype=np.int64)[[8]]).all()
    assert "2 isolated atoms (Cu -5.5 eV) left out" in result.run.directory.log_file.read_text()
    again = load_model(result.run)
    assert again.property_predictor().predict([Atoms("Cu")], ["energy"])[0]["energy"] == -5.5


def test_what_was_fixed_is_kept_by_a_resumed_run(config):
    settings = config(atom())
    run = mt.MatterTuner(settings).tune().run
    settings.trainer.max_epochs = 2
    longer = mt.MatterTuner(settings).resume(run.path)
    assert longer.trainer.current_epoch == 2
    assert float(load_model(longer.run).normalization.references[29]) == -5.5


def test_an_element_without_an_atom_is_refused(config):
    with pytest.raises(
        mt.ConfigError, match="no isolated atom with an energy for Cu, which the data hold"
    ):
        mt.MatterTuner(config()).tune()


def test_atoms_that_differ_are_refused(config):
    with pytest.raises(
        mt.DataError, match=r"an isolated atom of Cu has -5.3 eV, and another -5.5 eV"
    ):
        mt.MatterTuner(config(atom(), atom(energy=-5.3))).tune()


@pytest.mark.parametrize(
    ("case", "energies"),
    [
        ("13_isolated.xyz", {"Na": -0.25, "Cl": -0.35}),
        ("52_mace_first_isolated.xyz", {"C": -150.0}),
    ],
)
def test_chgnet_gives_the_atoms_of_a_file_their_energies(case, energies, tmp_path):
    if not CASES.is_dir():
        pytest.skip("the shared cases are not on this machine")
    dataset = mt.XYZDatasetConfig(
        src=CASES / case, energy_key="REF_energy", forces_key="REF_forces"
    )
    model = mt.CHGNetBackboneConfig(
        normalizers={"energy": [BY_ATOMS]}, optimizer=mt.AdamWConfig(lr=1e-12)
    )
    run = mt.MatterTuner(
        mt.MatterTunerConfig(
            model=model,
            data=mt.AutoSplitDataModuleConfig(dataset=dataset, train_split=0.5, batch_size=2),
            trainer=mt.TrainerConfig(max_epochs=1, accelerator="cpu"),
            run=mt.RunConfig(name="atoms", root=tmp_path),
        )
    ).tune()
    calculator = run.model.ase_calculator()
    for symbol, energy in energies.items():
        one = Atoms(symbol, [[0, 0, 0]])
        assert calculator.get_potential_energy(one) == pytest.approx(energy, abs=1e-4)
    # by the vendor's own code: what it says of a frame, and of the atoms that the frame is made of
    vendor = model.vendor_calculator()
    alone = {s: Atoms(s, [[0, 0, 0]], cell=[30, 30, 30], pbc=True) for s in energies}
    frame = ase.io.read(CASES / case, "-1")
    here = calculator.get_potential_energy(frame)
    theirs = vendor.get_potential_energy(frame)
    for symbol in frame.symbols:
        theirs += energies[symbol] - vendor.get_potential_energy(alone[symbol])
    assert here == pytest.approx(theirs, abs=1e-3)
