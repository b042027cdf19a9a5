"""References that follow the weights: what is fitted again, when it is kept, and what the records say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from drifting import OFF, Drifts
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.config.properties import UNREFIT
from mattertune_nb.model import refit
from mattertune_nb.model.references import N_ELEMENTS, composition_span, refit_references
from mattertune_nb.model.refit import LEAST_FRAMES, MOST_FRAMES, sample_indices


def energy_errors(module, frames) -> np.ndarray:
    """Return prediction - label in eV/atom, from the predictor."""
    results = module.property_predictor().predict(frames, ["energy"])
    return np.array(
        [
            (r["energy"] - a.get_potential_energy()) / len(a)
            for r, a in zip(results, frames, strict=True)
        ]
    )


@pytest.fixture
def drifted(copper, fit):
    """Return a model whose zero of energy was carried away in training, and what its records say."""

    def run(refit: bool, **trainer):
        normalizers = {"energy": [mt.PerAtomReferencingNormalizerConfig(refit=refit)]}
        config = MorseBackboneConfig(normalizers=normalizers, optimizer=mt.SGDConfig(lr=1e-9))
        module = mt.FinetuneModuleBase(config)
        trainer = fit(module, copper, copper, **{"callbacks": [Drifts()]} | trainer)
        return module, {k: float(v) for k, v in trainer.callback_metrics.items()}

    return run


def test_a_constant_error_is_taken_out_and_both_numbers_are_recorded(copper, drifted):
    left, without = drifted(refit=False)
    kept, recorded = drifted(refit=True)
    error = f"val/{UNREFIT}_mae"
    assert error not in without
    assert recorded[error] == pytest.approx(without["val/energy_per_atom_mae"], rel=1e-5)
    assert recorded["val/energy_per_atom_mae"] < 0.2 * without["val/energy_per_atom_mae"]
    # the calculator says what was measured
    errors = np.abs(energy_errors(kept, copper)).mean()
    assert errors == pytest.approx(recorded["val/energy_per_atom_mae"], rel=1e-5)
    assert np.abs(energy_errors(left, copper)).mean() > 0.5 * OFF


def test_a_change_that_validation_frames_speak_against_is_not_kept(copper, fit):
    def labelled(frames, module) -> list:
        energies = module.property_predictor().predict(frames, ["energy"])
        out = [atoms.copy() for atoms in frames]
        for atoms, old, result in zip(out, frames, energies, strict=True):
            results = old.calc.results | {"energy": result["energy"] + 2 * OFF * len(atoms)}
            atoms.calc = SinglePointCalculator(atoms, **results)
        return out

    normalizers = {"energy": [mt.PerAtomReferencingNormalizerConfig()]}
    config = MorseBackboneConfig(normalizers=normalizers, optimizer=mt.SGDConfig(lr=1e-9))
    untuned = mt.FinetuneModuleBase(config).eval()
    # to the validation frames the drifting model comes nearer
    module = mt.FinetuneModuleBase(config)
    fit(module, copper, labelled(copper, untuned), callbacks=[Drifts(steps=1)])
    normalization = module.normalization
    assert normalization.references[29] == pytest.approx(normalization.first_references[29] + OFF)


def test_references_that_training_began_with_are_remembered(drifted):
    never, _ = drifted(refit=False, callbacks=[])
    kept, _ = drifted(refit=True)
    assert not torch.equal(kept.normalization.references, kept.normalization.first_references)
    torch.testing.assert_close(kept.normalization.first_references, never.normalization.references)
    kept.normalization.begin_again()
    torch.testing.assert_close(kept.normalization.references, never.normalization.references)


def test_an_average_of_weights_has_the_references_that_were_fitted_to_it(copper, drifted):
    ema = mt.EMAConfig(decay=0.9).create_callback()
    module, recorded = drifted(refit=True, callbacks=[ema, Drifts()], max_epochs=3)
    errors = np.abs(energy_errors(module, copper)).mean()
    assert errors == pytest.approx(recorded["val/energy_per_atom_mae"], rel=1e-5)


def test_a_run_without_validation_keeps_references_of_its_last_weights(copper, drifted):
    module, _ = drifted(refit=True, limit_val_batches=0)
    assert np.abs(energy_errors(module, copper).mean()) < 0.2 * OFF


@pytest.mark.parametrize("sets", [1, 3])
def test_what_is_predicted_for_it_costs_less_than_a_twentieth_of_an_epoch(
    sets, copper, plain_trainer, monkeypatch
):
    predicted = []
    whole = refit._predicted

    def counted(trainer, module, dataset, chosen):
        predicted.append(len(chosen))
        return whole(trainer, module, dataset, chosen)

    monkeypatch.setattr(refit, "_predicted", counted)
    normalizers = {"energy": [mt.PerAtomReferencingNormalizerConfig()]}
    module = mt.FinetuneModuleBase(
        MorseBackboneConfig(normalizers=normalizers, optimizer=mt.SGDConfig(lr=1e-9))
    )
    frames = copper * 18
    loader = module.create_dataloader(frames, has_labels=True, batch_size=9)
    trainer = plain_trainer(callbacks=[Drifts()], max_epochs=1)
    trainer.fit(module, loader, [loader] * sets)
    # training frames first, then those of each validation set
    assert len(predicted) == 1 + sets
    share = sum(predicted) / len(frames)
    # an energy alone costs a sixth of a step, see SHARE
    assert 0 < share / 6 < 0.05


def test_calculator_and_checkpoint_have_the_references_that_were_kept(
    copper, tmp_path, drifted, morse_installed
):
    module, recorded = drifted(refit=True)
    module.trainer.save_checkpoint(tmp_path / "tuned.ckpt")
    loaded = mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "tuned.ckpt")
    assert loaded.normalization.references.equal(module.normalization.references)
    for model in (module, loaded):
        errors = []
        for atoms in copper:
            one = atoms.copy()
            one.calc = model.ase_calculator()
            off = one.get_potential_energy() - atoms.get_potential_energy()
            errors.append(abs(off) / len(atoms))
        assert np.mean(errors) == pytest.approx(recorded["val/energy_per_atom_mae"], rel=1e-4)


def counts_of(*formulas: str) -> np.ndarray:
    return np.stack([np.bincount(molecule(f).numbers, minlength=N_ELEMENTS) for f in formulas])


def test_a_change_is_kept_only_where_it_helps_frames_that_are_not_fitted_on():
    counts = counts_of("H2O", "CH4", "CO2", "H2O", "CH4", "CO2", "NH3", "NH3")
    n_atoms = counts.sum(axis=1)
    span = composition_span(counts)
    change = refit_references(counts, 0.3 * n_atoms, span)
    assert change is not None
    np.testing.assert_allclose(counts @ change, 0.3 * n_atoms, rtol=1e-6)

    by_element = np.zeros(N_ELEMENTS)
    by_element[[1, 6, 7, 8]] = [0.1, -2.0, 1.0, 3.0]
    many = np.concatenate([counts] * 4)
    change = refit_references(many, many @ by_element, span)
    np.testing.assert_allclose(many @ change, many @ by_element, atol=1e-6)

    noise = np.array([1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0]) * n_atoms
    assert refit_references(counts, noise, span) is None
    assert refit_references(counts[:1], noise[:1], span) is None


def test_nothing_is_changed_beyond_what_the_data_determine():
    water = counts_of("H2O", "H2O", "H2O", "H2O")
    change = refit_references(water, np.full(4, 0.9), composition_span(water))
    assert water[0] @ change == pytest.approx(0.9)
    # along water's own ratio of H to O, and for no other element
    assert change[1] / change[8] == pytest.approx(2.0)
    assert np.flatnonzero(change).tolist() == [1, 8]


@pytest.mark.parametrize(
    ("n_frames", "epochs", "n"),
    [
        (5, 1.0, 5),
        (24, 1.0, LEAST_FRAMES),
        (600, 1.0, 100),
        (600, 0.5, 50),
        (10**6, 1.0, MOST_FRAMES),
    ],
)
def test_the_sample_is_bounded_and_spread_over_the_set(n_frames, epochs, n):
    chosen = sample_indices(n_frames, epochs)
    assert len(chosen) == n
    assert chosen[0] == 0
    assert chosen[-1] == n_frames - 1
    assert np.ptp(np.diff(chosen)) <= 1
