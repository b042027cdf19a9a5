"""Normalizers: what they add to energies, what they divide losses by, and that no digit is lost."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.model.normalization import Normalization
from mattertune_nb.model.normalizers import check_references

REFERENCES, MEAN_STD, RMS = (
    mt.PerAtomReferencingNormalizerConfig,
    mt.MeanStdNormalizerConfig,
    mt.RMSNormalizerConfig,
)


def module_with(**normalizers) -> mt.FinetuneModuleBase:
    return mt.FinetuneModuleBase(MorseBackboneConfig(normalizers=normalizers)).eval()


def first_losses(module, frames) -> dict[str, float]:
    (batch,) = module.create_dataloader(frames, has_labels=True, batch_size=len(frames))
    values = {}
    module._record = lambda total, losses, *args: values.update(
        {name: float(loss.detach()) for name, (loss, _) in losses.items()}
    )
    module.train().training_step(batch, 0)
    return values


@pytest.mark.parametrize("suffix", ["dict", ".json", ".yaml"])
def test_given_references_are_added_by_calculator_and_predictor(copper, tmp_path, suffix):
    energies = {"Cu": -3.25, "O": -100.0}
    given = energies
    if suffix != "dict":
        given = tmp_path / f"references{suffix}"
        given.write_text(json.dumps(energies))
    module, bare = module_with(energy=[REFERENCES(per_element_references=given)]), module_with()
    atoms = copper[0].copy()
    (ours,), (theirs,) = (m.property_predictor().predict([atoms]) for m in (module, bare))
    assert ours["energy"] - theirs["energy"] == pytest.approx(-3.25 * len(atoms), abs=1e-9)
    assert np.array_equal(ours["forces"], theirs["forces"])
    atoms.calc = module.ase_calculator()
    assert atoms.get_potential_energy() == ours["energy"]


def test_a_checkpoint_needs_the_file_of_references_no_more(copper, fit, tmp_path, morse_installed):
    path = tmp_path / "references.json"
    path.write_text('{"Cu": -3.25}')
    module = module_with(energy=[REFERENCES(per_element_references=path)])
    fit(module, copper).save_checkpoint(tmp_path / "a.ckpt")
    path.unlink()
    loaded = mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "a.ckpt")
    assert float(loaded.normalization.references[29]) == -3.25
    assert loaded.hparams == module.hparams


def test_references_of_something_that_is_no_element_are_refused():
    with pytest.raises(mt.ConfigError, match="per_element_references: 'Kx' is not an element"):
        module_with(energy=[REFERENCES(per_element_references={"Kx": 1.0})])


def test_a_given_mean_shifts_each_atom_and_a_standard_deviation_divides_the_loss(copper):
    bare = first_losses(module_with(), copper[:2])
    module = module_with(energy=[MEAN_STD(mean=0.0, std=4.0)], forces=[RMS(rms=0.5)])
    scaled = first_losses(module, copper[:2])
    assert scaled["energy"] == pytest.approx(bare["energy"] / 4, rel=1e-5)
    assert scaled["forces"] == pytest.approx(bare["forces"] / 0.5, rel=1e-5)
    shifted = module_with(energy=[MEAN_STD(mean=1.5, std=1.0)])
    (ours,), (theirs,) = (m.property_predictor().predict([copper[0]]) for m in (shifted, module))
    assert ours["energy"] - theirs["energy"] == pytest.approx(1.5 * len(copper[0]))


def test_what_is_not_given_is_fitted_to_the_training_set(copper, fit):
    module = module_with(energy=[MEAN_STD()], forces=[RMS()])
    untuned = module.property_predictor().predict(copper)
    per_atom = np.array([a.get_potential_energy() / len(a) for a in copper])
    predicted = np.array([r["energy"] / len(a) for r, a in zip(untuned, copper, strict=True)])
    forces = np.concatenate([a.get_forces().ravel() for a in copper])
    fit(module, copper)
    mean = float(module.normalization.references[29])
    assert mean == pytest.approx(np.mean(per_atom - predicted), rel=1e-5)
    assert float(module.normalization.scale("energy")) == pytest.approx(np.std(per_atom), rel=1e-6)
    assert float(module.normalization.scale("forces")) == pytest.approx(
        np.sqrt(np.mean(forces**2)), rel=1e-9
    )
    assert float(module.normalization.scale("stresses")) == 1


def test_metrics_are_in_the_units_of_the_labels_whatever_the_scale(copper, plain_trainer):
    values = []
    for module in (module_with(), module_with(forces=[RMS(rms=7.0)])):
        loader = module.create_dataloader(copper, has_labels=True)
        values.append(plain_trainer().validate(module, loader, verbose=False)[0])
    assert values[0]["val/forces_mae"] == values[1]["val/forces_mae"]
    assert values[0]["val/forces_loss"] == pytest.approx(7 * values[1]["val/forces_loss"])


@pytest.mark.parametrize("convert", ["half", "bfloat16", "float"])
def test_the_number_format_of_the_model_takes_no_digit_from_references(convert):
    normalization = Normalization(
        {"energy": [REFERENCES(per_element_references={"O": -2041.812345})]}
    )
    holder = torch.nn.ModuleList([normalization])
    getattr(holder, convert)()
    shift = normalization.shift(torch.tensor([8] * 64), torch.zeros(64, dtype=torch.int64), 1)
    assert float(shift) == pytest.approx(64 * -2041.812345, abs=1e-8)


def test_references_are_for_the_energy_alone():
    with pytest.raises(mt.ConfigError, match=r"normalizers\.forces: .* are for the energy only"):
        module_with(forces=[REFERENCES()])


def test_given_references_have_to_know_all_elements_of_the_data():
    module = module_with(energy=[REFERENCES(per_element_references={"H": -13.6})])
    check_references(module.normalization.config, ["H"])
    with pytest.raises(mt.ConfigError, match="per_element_references: no energy for O, which"):
        check_references(module.normalization.config, ["H", "O"])
    counts = np.bincount([1, 1, 8], minlength=119)[None]
    assert module.normalization.extrapolates(counts)
    assert not module.normalization.extrapolates(np.bincount([1, 1], minlength=119)[None])
