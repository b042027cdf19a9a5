"""Calculator and predictor: one model, the same numbers, in ASE's units and signs."""

from __future__ import annotations

import copy
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.filters import FrechetCellFilter
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from lightning.pytorch import Callback, Trainer, seed_everything
from toy_backbone import MorseBackboneConfig, MorseCalculator

import mattertune_nb as mt
from mattertune_nb.model.references import N_ELEMENTS, fit_references


@pytest.fixture
def morse():
    return mt.FinetuneModuleBase(MorseBackboneConfig(normalizers={}))


@pytest.fixture
def copper() -> Atoms:
    atoms = bulk("Cu", cubic=True, a=3.7)
    atoms.rattle(0.1, seed=3)
    return atoms


def mixed() -> list[Atoms]:
    """Return structures of all kinds of periodicity and of 1 to 12 atoms."""
    slab = fcc111("Cu", (2, 2, 3), vacuum=6, periodic=False)
    return [
        bulk("Cu"),
        molecule("H2O"),
        slab,
        bulk("CuO", "rocksalt", a=4.3, cubic=True),
        Atoms("O"),
    ]


def test_the_predictor_in_batches_is_the_calculator_one_by_one(chgnet):
    calculator = chgnet.ase_calculator()
    structures = mixed()
    for batch_size, max_atoms in [(32, None), (2, None), (32, 9)]:
        predictor = chgnet.property_predictor(batch_size=batch_size, max_atoms=max_atoms)
        for atoms, result in zip(structures, predictor.predict(structures), strict=True):
            single = atoms.copy()
            single.calc = calculator
            assert isinstance(result["energy"], float)
            assert result["energy"] == pytest.approx(single.get_potential_energy(), abs=1e-5)
            assert result["forces"].shape == (len(atoms), 3)
            assert result["forces"] == pytest.approx(single.get_forces(), abs=1e-5)
            if atoms.pbc.all():
                assert result["stresses"].shape == (6,)
                assert result["stresses"] == pytest.approx(single.get_stress(), abs=1e-6)
            else:
                assert "stresses" not in result


def test_units_signs_and_order_are_ases(morse, copper):
    ours, theirs = copper.copy(), copper.copy()
    ours.calc, theirs.calc = morse.ase_calculator(), MorseCalculator()
    assert ours.get_potential_energy() == pytest.approx(theirs.get_potential_energy(), abs=1e-5)
    assert ours.get_potential_energy(force_consistent=True) == ours.get_potential_energy()
    assert ours.get_forces() == pytest.approx(theirs.get_forces(), abs=1e-5)
    assert ours.get_stress() == pytest.approx(theirs.get_stress(), abs=1e-6)


@pytest.mark.parametrize("atoms", [a for a in mixed() if not a.pbc.all()], ids=str)
def test_a_stress_is_refused_where_not_all_directions_are_periodic(chgnet, atoms):
    atoms.calc = chgnet.ase_calculator()
    atoms.get_forces()
    with pytest.raises(PropertyNotImplementedError, match="periodic in all three directions"):
        atoms.get_stress()


def test_a_calculator_follows_its_structure(morse, copper):
    copper.calc = morse.ase_calculator()
    first = copper.get_potential_energy()
    assert copper.get_potential_energy() == first
    copper.positions[0] += 0.2
    moved = copper.get_potential_energy()
    assert moved != first
    copper.pbc = False
    assert copper.get_potential_energy() != moved
    copper.pbc = True
    copper.symbols[0] = "O"
    copper.set_cell(copper.cell.array * 1.1, scale_atoms=True)
    fresh = copper.copy()
    fresh.calc = morse.ase_calculator()
    assert copper.get_potential_energy() == fresh.get_potential_energy()


def test_energy_is_conserved_in_dynamics(morse, copper):
    atoms = copper.repeat(2)
    atoms.calc = morse.double().ase_calculator()
    MaxwellBoltzmannDistribution(atoms, temperature_K=600, rng=np.random.default_rng(0))
    dynamics = VelocityVerlet(atoms, 1 * units.fs)
    energies = []
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()))
    dynamics.run(60)
    assert np.ptp(energies) / len(atoms) < 1e-4
    assert np.ptp([atoms.get_potential_energy(), energies[0]]) > 0.1


def test_a_cell_relaxes_to_no_force_and_no_stress(morse, copper):
    copper.calc = morse.double().ase_calculator()
    assert BFGS(FrechetCellFilter(copper), logfile=None).run(fmax=1e-3, steps=200)
    assert np.abs(copper.get_stress()).max() < 1e-3


def test_the_energy_alone_can_be_asked_for(morse, copper):
    (result,) = morse.property_predictor().predict([copper], ["energy"])
    assert set(result) == {"energy"}
    assert morse.property_predictor().predict([]) == []


def test_a_model_in_training_goes_on_training(morse, copper):
    morse.train()
    (batch,) = morse.create_dataloader([copper], has_labels=False)
    copper.calc = morse.ase_calculator()
    copper.get_forces()
    morse.property_predictor().predict([copper])
    assert morse.training
    assert morse(batch)["predicted_properties"]["energy"].requires_grad


def test_predictions_are_plain_data_inside_inference_mode_too(chgnet):
    (outside,) = chgnet.property_predictor().predict([bulk("Cu")])
    with torch.inference_mode():
        (inside,) = chgnet.property_predictor().predict([bulk("Cu")])
    for name, value in outside.items():
        assert np.array_equal(inside[name], value)


def test_what_cannot_be_predicted_is_said(morse, copper):
    predictor = morse.property_predictor()
    with pytest.raises(
        mt.ConfigError, match=r"unknown property 'stress'\. Allowed: energy, forces"
    ):
        predictor.predict([copper], ["stress"])
    with pytest.raises(mt.ConfigError, match=r"give \[atoms\]"):
        predictor.predict(copper)
    with pytest.raises(
        mt.DataError, match="structures, frame 1: element 'H' is not known to Morse"
    ):
        predictor.predict([copper, molecule("H2")])
    alone = Atoms("H")
    alone.calc = morse.ase_calculator()
    with pytest.raises(mt.DataError, match="element 'H' is not known to Morse"):
        alone.get_potential_energy()


def test_a_composition_that_references_say_nothing_about_warns_once_for_each(morse):
    oxide, suboxide = (bulk("CuO", "rocksalt", a=4.3), Atoms("Cu2O", np.eye(3) * 2))
    counts = np.bincount(oxide.numbers, minlength=N_ELEMENTS)[None]
    references, span = fit_references(counts, np.array([-10.0]))
    morse.normalization.references += torch.from_numpy(references)
    morse.normalization.span[: len(span)] = torch.from_numpy(span)
    (inside,) = morse.property_predictor().predict([oxide], ["energy"])
    oxide.calc = suboxide.calc = morse.ase_calculator()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert oxide.get_potential_energy() == pytest.approx(inside["energy"], abs=1e-5)
    with pytest.warns(UserWarning, match=r"Cu2O.*compare energies only with others"):
        suboxide.get_potential_energy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        suboxide.rattle(0.01)
        suboxide.get_potential_energy()


def test_results_are_computed_anew_once_the_weights_have_changed(morse, copper):
    copper.calc = morse.ase_calculator()
    before = copper.get_potential_energy()
    assert copper.get_potential_energy() == before
    for change in (_scaled, _loaded, _trained, _swapped, _one_swapped, _from_a_vector, _assigned):
        change(morse)
        fresh = copper.copy()
        fresh.calc = morse.ase_calculator()
        assert copper.get_potential_energy() == fresh.get_potential_energy() != before
        before = copper.get_potential_energy()


def _scaled(model: mt.FinetuneModuleBase) -> None:
    with torch.no_grad():
        model.backbone.depth *= 2


def _loaded(model: mt.FinetuneModuleBase) -> None:
    model.load_state_dict({name: 1.1 * value for name, value in model.state_dict().items()})


def _trained(model: mt.FinetuneModuleBase) -> None:
    optimizer = torch.optim.SGD(model.backbone.parameters(), lr=0.01)
    sum(parameter.sum() for parameter in model.backbone.parameters()).backward()
    optimizer.step()


def _swapped(model: mt.FinetuneModuleBase) -> None:
    """Write as Lightning's averages of weights do, which torch does not count as a change."""
    for parameter in model.backbone.parameters():
        parameter.data.copy_(0.9 * parameter.data)


def _one_swapped(model: mt.FinetuneModuleBase) -> None:
    model.backbone.depth.data.mul_(0.9)


def _from_a_vector(model: mt.FinetuneModuleBase) -> None:
    parameters = list(model.backbone.parameters())
    vector = torch.nn.utils.parameters_to_vector(parameters)
    torch.nn.utils.vector_to_parameters(0.9 * vector.detach(), parameters)


def _assigned(model: mt.FinetuneModuleBase) -> None:
    state = {name: 1.1 * value for name, value in model.state_dict().items()}
    model.load_state_dict(state, assign=True)


def test_a_device_that_is_not_here_is_refused_in_a_sentence(morse):
    with pytest.raises(mt.ConfigError, match="device 'xpu' cannot be used on this machine"):
        morse.ase_calculator(device="xpu")


def test_the_number_format_is_that_of_a_copy(morse, copper):
    exact = morse.ase_calculator(dtype="float64")
    assert next(exact.model.backbone.parameters()).dtype == torch.float64
    assert next(morse.backbone.parameters()).dtype == torch.float32
    assert morse.ase_calculator(dtype="float32").model is morse
    copper.calc = exact
    energy = copper.get_potential_energy()
    copper.calc = morse.ase_calculator()
    assert 0 < abs(copper.get_potential_energy() - energy) < 1e-4
    with pytest.raises(mt.ConfigError, match="Allowed: float32, float64"):
        morse.ase_calculator(dtype="float16")


def test_atoms_in_the_same_place_are_named_and_give_no_nan(chgnet):
    atoms = bulk("Cu", cubic=True)
    atoms.positions[2] = atoms.positions[1]
    atoms.calc = chgnet.ase_calculator()
    with pytest.raises(mt.DataError, match="atoms 1 and 2 are in the same place"):
        atoms.get_potential_energy()
    with pytest.raises(mt.DataError, match=r"frame 1: .*atoms 1 and 2 are in the same place"):
        chgnet.property_predictor().predict([bulk("Cu"), atoms])


def test_half_precision_that_is_too_narrow_is_named(chgnet, monkeypatch):
    model = copy.deepcopy(chgnet).half()
    with torch.no_grad():
        next(model.backbone.parameters()).fill_(torch.nan)
    with pytest.raises(mt.DataError, match=r"half precision \(float16\).*model\.float\(\)"):
        model.property_predictor().predict([bulk("Cu")])


def test_a_map_of_devices_that_are_not_there_is_no_damaged_file(chgnet, tmp_path):
    contents = {"state_dict": chgnet.state_dict(), "hyper_parameters": dict(chgnet.hparams)}
    torch.save(contents, tmp_path / "model.ckpt")
    with pytest.raises(mt.ConfigError, match="cannot be used on this machine"):
        mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "model.ckpt", {"cpu": "xpu:7"})


# -- threads -------------------------------------------------------------------------------------


def test_threads_share_a_calculator_and_each_gets_its_own_structures_results(morse):
    structures = [bulk("Cu", cubic=True) * (1 + i % 2, 1, 1) for i in range(12)]
    for seed, atoms in enumerate(structures):
        atoms.rattle(0.05, seed=seed)
    expected = morse.property_predictor().predict(structures)
    calculator = morse.ase_calculator()

    def results(atoms: Atoms) -> tuple[float, np.ndarray]:
        atoms = atoms.copy()
        atoms.calc = calculator
        return atoms.get_potential_energy(), atoms.get_forces()

    with ThreadPoolExecutor(4) as threads:
        for (energy, forces), theirs in zip(
            threads.map(results, structures * 5), expected * 5, strict=True
        ):
            assert energy == pytest.approx(theirs["energy"], abs=1e-5)
            assert forces == pytest.approx(theirs["forces"], abs=1e-5)


def test_a_calculator_beside_a_fit_in_another_thread_is_refused_and_the_fit_goes_on(
    morse_config, copper
):
    data = mt.MatterTuneDataModule(morse_config().data)
    weights, refused, seen = [], [], []
    for is_watched in (False, True):
        seed_everything(0, verbose=False)
        model = mt.FinetuneModuleBase(morse_config().model)
        copper.calc = model.ase_calculator()
        energy = copper.get_potential_energy()
        trained = threading.Event()

        class InTheFitsOwnThread(Callback):
            def on_train_batch_end(self, *args, calculator=copper.calc, event=trained):
                seen.append(calculator.get_potential_energy(bulk("Cu")))
                event.set()

        trainer = Trainer(
            max_epochs=5,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[InTheFitsOwnThread()],
        )
        fit = threading.Thread(target=trainer.fit, args=(model,), kwargs={"datamodule": data})
        fit.start()
        trained.wait(60)
        while is_watched and fit.is_alive():
            try:
                copper.get_potential_energy()
                model.property_predictor().predict([copper])
            except mt.TrainingError as exc:
                refused.append(str(exc))
            time.sleep(0.01)
        fit.join(60)
        assert trainer.state.status == "finished"
        assert copper.get_potential_energy() != energy
        weights.append([parameter.detach().clone() for parameter in model.parameters()])
    assert "being trained in another thread" in refused[0]
    assert len(seen) == 2 * 25
    for ours, theirs in zip(*weights, strict=True):
        assert torch.equal(ours, theirs)


# -- energies of atoms ---------------------------------------------------------------------------


def test_energies_of_atoms_add_up_to_the_energy_with_its_references(chgnet, copper):
    model = copy.deepcopy(chgnet)
    references, _ = fit_references(np.eye(N_ELEMENTS, dtype=int)[[29]], np.array([-3.0]))
    model.normalization.references += torch.from_numpy(references)
    copper.calc = model.ase_calculator()
    energies = copper.get_potential_energies()
    assert energies.shape == (len(copper),)
    assert energies.sum() == pytest.approx(copper.get_potential_energy(), abs=1e-4)
    # a crystal whose atoms are all alike has one energy
    alike = bulk("Cu", cubic=True)
    alike.calc = model.ase_calculator()
    each = alike.get_potential_energies()
    assert each == pytest.approx(np.full(4, alike.get_potential_energy() / 4), abs=1e-4)


def test_energies_of_atoms_are_refused_where_a_backbone_has_none(morse, copper):
    copper.calc = morse.ase_calculator()
    assert "energies" not in copper.calc.implemented_properties
    with pytest.raises(PropertyNotImplementedError):
        copper.get_potential_energies()
