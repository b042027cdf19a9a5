"""Before the first step: the untuned errors, and references that are kept only where they help."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.data.dataset import LoaderSettings, as_dataset
from mattertune_nb.model.loader import GraphDataset, graph_loader
from mattertune_nb.model.references import N_ELEMENTS, fit_references

REFERENCES = mt.PerAtomReferencingNormalizerConfig
KEPT = {"energy": [REFERENCES(refit=False)]}


def shifted(atoms, per_atom: float):
    """Return a labelled structure whose energy is off by so much an atom."""
    out = atoms.copy()
    results = dict(atoms.calc.results)
    results["energy"] += per_atom * len(atoms)
    out.calc = SinglePointCalculator(out, **results)
    return out


def energy_error(module, frames) -> float:
    """Return the mean absolute error in eV/atom, from the predictor."""
    results = module.property_predictor().predict(frames, ["energy"])
    errors = [
        (r["energy"] - a.get_potential_energy()) / len(a)
        for r, a in zip(results, frames, strict=True)
    ]
    return float(np.abs(errors).mean())


def test_the_baseline_is_the_error_of_the_untuned_model(copper, fit):
    config = MorseBackboneConfig(optimizer=mt.AdamWConfig(lr=0.05))
    untuned = mt.FinetuneModuleBase(config).eval()
    results = untuned.property_predictor().predict(copper[4:])
    forces = np.concatenate(
        [r["forces"] - a.get_forces() for r, a in zip(results, copper[4:], strict=True)]
    )

    module = mt.FinetuneModuleBase(config)
    fit(module, copper[:4], copper[4:])
    assert module.baseline["baseline/forces_mae"] == pytest.approx(np.abs(forces).mean(), rel=1e-5)
    assert module.baseline["baseline/energy_per_atom_mae"] == pytest.approx(
        energy_error(untuned, copper[4:]), rel=1e-5
    )
    # the same weights with the references that training started from
    untuned.normalization.load_state_dict(module.normalization.state_dict())
    untuned.normalization.begin_again()
    assert module.baseline["baseline/referenced_energy_per_atom_mae"] == pytest.approx(
        energy_error(untuned, copper[4:]), rel=1e-5
    )


def test_the_baseline_is_logged_once_before_the_first_step(copper, fit, tmp_path):
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(tmp_path)
    fit(mt.FinetuneModuleBase(MorseBackboneConfig()), copper, logger=logger, max_epochs=2)
    rows = (tmp_path / "lightning_logs/version_0/metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("baseline/forces_mae")
    values = [row.split(",")[column] for row in rows[1:]]
    assert [bool(v) for v in values].count(True) == 1
    assert values[0]


def test_references_that_do_not_lower_the_held_out_error_are_not_kept(copper, fit):
    module = mt.FinetuneModuleBase(MorseBackboneConfig(normalizers=KEPT))
    offsets = [shifted(a, 5.0) for a in copper[:5]]
    untuned = mt.FinetuneModuleBase(MorseBackboneConfig()).eval()
    right = [shifted(a, 0.0) for a in copper[5:]]
    for atoms, result in zip(right, untuned.property_predictor().predict(right), strict=True):
        atoms.calc.results["energy"] = result["energy"]
    fit(module, offsets, right)
    assert not module.normalization.references.any()
    assert not module.normalization.extrapolates(np.eye(N_ELEMENTS, dtype=np.int64)[[8]]).any()

    kept = mt.FinetuneModuleBase(MorseBackboneConfig(normalizers=KEPT))
    fit(kept, offsets, [shifted(a, 5.0) for a in copper[5:]])
    assert float(kept.normalization.references[29]) == pytest.approx(5.0, abs=3.5)
    assert (
        kept.baseline["baseline/referenced_energy_per_atom_mae"]
        < 0.5 * kept.baseline["baseline/energy_per_atom_mae"]
    )


def test_given_references_are_in_the_predictions_and_not_in_the_untuned_errors(copper, fit):
    given = MorseBackboneConfig(
        normalizers={"energy": [REFERENCES(per_element_references={"Cu": 2.5})]}
    )
    module = mt.FinetuneModuleBase(given)
    fit(module, copper)
    plain = mt.FinetuneModuleBase(MorseBackboneConfig(normalizers={})).eval()
    assert module.baseline["baseline/energy_per_atom_mae"] == pytest.approx(
        energy_error(plain, copper), rel=1e-5
    )
    assert module.baseline["baseline/referenced_energy_per_atom_mae"] == pytest.approx(
        energy_error(mt.FinetuneModuleBase(given).eval(), copper), rel=1e-5
    )


@pytest.mark.parametrize("per_atom", [True, False])
@pytest.mark.parametrize(
    ("normalizer", "spread"),
    [
        (mt.RMSNormalizerConfig(), lambda labels: np.sqrt(np.square(labels).mean())),
        (mt.MeanStdNormalizerConfig(mean=0.0), np.std),
    ],
)
def test_the_scale_of_the_energy_is_the_spread_of_what_its_loss_sees(
    normalizer, spread, per_atom, copper, fit
):
    config = MorseBackboneConfig(
        properties=[mt.EnergyPropertyConfig(per_atom=per_atom)],
        normalizers={"energy": [normalizer]},
    )
    module = mt.FinetuneModuleBase(config)
    fit(module, copper)
    labels = [a.get_potential_energy() / (len(a) if per_atom else 1) for a in copper]
    assert float(module.normalization.scale("energy")) == pytest.approx(spread(labels), rel=1e-6)


def test_a_loader_of_a_users_own_is_told_how_to_be_made(copper, plain_trainer):
    from torch.utils.data import DataLoader

    module = mt.FinetuneModuleBase(MorseBackboneConfig())
    batches = list(module.create_dataloader(copper, has_labels=True))
    with pytest.raises(mt.TrainingError, match=r"model\.create_dataloader\(dataset, has_labels"):
        plain_trainer().fit(module, DataLoader(batches, batch_size=None))


def test_a_loader_made_for_other_processes_than_there_are_is_refused(copper, plain_trainer):
    module = mt.FinetuneModuleBase(MorseBackboneConfig())
    graphs = GraphDataset(
        as_dataset(copper), module.backbone, {"energy": "error", "forces": "error"}
    )
    half = graph_loader(graphs, LoaderSettings(batch_size=2), num_replicas=2)
    with pytest.raises(mt.TrainingError, match="among 2 processes, and the Trainer has 1"):
        plain_trainer().fit(module, half)


def test_robust_references_help_chgnet_on_strained_oxides_where_least_squares_hurts(
    shared_data, chgnet
):
    sources = {
        "train": ("Li_electrode_finetune.xyz", "::6"),
        "held out": ("Li_electrode_val.xyz", ":"),
    }
    counts, residuals = {}, {}
    for name, (file, index) in sources.items():
        frames = mt.XYZDatasetConfig(src=shared_data / file, index=index).create_dataset()
        results = chgnet.property_predictor().predict(frames, ["energy"])
        counts[name] = np.stack([np.bincount(a.numbers, minlength=N_ELEMENTS) for a in frames])
        residuals[name] = np.array(
            [frames.labels(i)["energy"] - r["energy"] for i, r in enumerate(results)]
        )
    n = counts["train"].sum(axis=1)
    robust, _ = fit_references(counts["train"], residuals["train"])
    plain, *_ = np.linalg.lstsq(counts["train"] / n[:, None], residuals["train"] / n, rcond=None)

    def held_out_error(references) -> float:
        errors = residuals["held out"] - counts["held out"] @ references
        return float(np.abs(errors / counts["held out"].sum(axis=1)).mean())

    assert held_out_error(robust) < held_out_error(np.zeros(N_ELEMENTS)) < held_out_error(plain)


def test_water_at_minus_30_000_ev_trains_as_smoothly_as_anything_else(shared_data, fit):
    frames = mt.XYZDatasetConfig(
        src=shared_data / "train_30_water_1000_eVAng.xyz", index=":4"
    ).create_dataset()
    water = []
    for i, atoms in enumerate(frames):
        atoms.calc = SinglePointCalculator(atoms, **frames.labels(i, {"energy": "error"}))
        water.append(atoms)
    runs = []
    for offset in (0.0, 30_000 / 192):
        losses = []

        class Watched(mt.FinetuneModuleBase):
            def training_step(self, batch, batch_idx):
                loss = super().training_step(batch, batch_idx)
                losses.append(float(loss.detach()))  # noqa: B023  called before the next loop
                return loss

        module = Watched(
            mt.CHGNetBackboneConfig(
                properties=[mt.EnergyPropertyConfig()], optimizer=mt.AdamWConfig(lr=1e-5)
            )
        )
        data = [shifted(atoms, offset) for atoms in water]
        fit(module, data[:3], data[3:], batch_size=1, num_sanity_val_steps=0)
        runs.append((losses, module))
    # the zero of energy leaves no trace in the losses, in eV/atom
    assert runs[0][0] == pytest.approx(runs[1][0], abs=2e-6)
    assert max(runs[0][0]) < 0.05

    module = runs[0][1].eval()
    assert module.baseline["baseline/energy_per_atom_mae"] > 100
    assert module.baseline["baseline/referenced_energy_per_atom_mae"] < 0.02
    (result,) = module.property_predictor().predict([water[3]], ["energy"])
    assert result["energy"] == pytest.approx(water[3].get_potential_energy(), abs=0.02 * 192)
    # training had one ratio of hydrogen to oxygen: of another one nothing is known
    with pytest.warns(UserWarning, match=r"1 of 2 structures \(first: HO\)"):
        module.property_predictor().predict([molecule("H2O"), molecule("OH")])
