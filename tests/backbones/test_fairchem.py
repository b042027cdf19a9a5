"""UMA and eSEN: small random models as fairchem saves them, its calculator, and what we write for it."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.io import read, write
from vendors import (
    assert_equals_vendor,
    assert_export_equals,
    hard_structures,
    tune_resume_and_predict,
)

import mattertune_nb as mt
from mattertune_nb.backbones.guard import guarded, quiet
from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.testing import check_backbone

pytestmark = pytest.mark.skipif(
    not mt.FairchemBackboneConfig.is_installed(), reason=mt.FairchemBackboneConfig.install_hint()
)

PLACE = "fairchem.core.models.uma."
TASKS = ["omat", "omol"]
SMALL = {
    "model": f"{PLACE}escn_moe.eSCNMDMoeBackbone",
    "sphere_channels": 8,
    "lmax": 2,
    "mmax": 2,
    "cutoff": 4.0,
    "edge_channels": 8,
    "num_distance_basis": 16,
    "num_layers": 2,
    "hidden_channels": 8,
    "max_neighbors": 300,
    "direct_forces": False,
    "regress_forces": True,
    "regress_stress": True,
    "otf_graph": True,
    "act_type": "gate",
    "ff_type": "spectral",
    "dataset_mapping": {name: name for name in TASKS},
}
UMA = {"num_experts": 4, "use_composition_embedding": True, "chg_spin_emb_type": "rand_emb"}
KINDS = {
    "uma": UMA,
    "uma with dropout": UMA | {"moe_dropout": 0.05, "composition_dropout": 0.1, "ff_type": "grid"},
    "esen": {"model": f"{PLACE}escn_md.eSCNMDBackbone"},
}


@guarded()
@quiet()
def vendor_file(path, **backbone):
    """Write what fairchem's trainer does; energies of elements are as large as all-electron ones."""
    from fairchem.core.models.base import HydraModel
    from fairchem.core.units.mlip_unit.api.inference import MLIPInferenceCheckpoint

    from mattertune_nb.backbones.fairchem.files import Loaded, save

    torch.manual_seed(0)
    wrapper = "DatasetSpecificMoEWrapper"
    settings = {
        "backbone": SMALL | backbone,
        "heads": {
            "efs": {
                "module": f"{PLACE}escn_moe.{wrapper}",
                "dataset_mapping": {name: name for name in TASKS},
                "head_cls": f"{PLACE}escn_md.MLP_EFS_Head",
                "head_kwargs": {"wrap_property": False},
            }
        },
        "pass_through_head_outputs": True,
        "model_id": "UMA-S-1.2.1",
    }
    references = torch.arange(119, dtype=torch.float64) * -123.456789012
    save(
        Loaded(
            {"model": settings, "task": "omat", "outputs": {t: f"{t}_energy" for t in TASKS}},
            HydraModel(**settings).state_dict(),
            scale=torch.tensor([1.7, 1.3]).double(),
            shift=torch.zeros(2).double(),  # the vendor adds it to a stress of its own, too
            references=torch.stack([references, references + 1]),
        ),
        path,
    )
    assert isinstance(torch.load(path, weights_only=False), MLIPInferenceCheckpoint)
    return path


def config_of(path, **fields):
    return mt.FairchemBackboneConfig(
        checkpoint=path, **{"trust_checkpoint": True, "task": "omat"} | fields
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return vendor_file(tmp_path_factory.mktemp("uma") / "model.pt", **KINDS["uma"])


@pytest.mark.parametrize("kind", KINDS)
def test_conforms_but_for_the_last_digit(kind, tmp_path):
    backbone_config_class("uma")  # its entry point is installed
    measured = check_backbone(config_of(vendor_file(tmp_path / "model.pt", **KINDS[kind])))
    assert "energy off by up to" in measured["bitwise"]
    assert set(measured) == {"bitwise", "smooth"}


@pytest.mark.parametrize("kind", KINDS)
def test_hard_structures_as_the_vendor(kind, tmp_path):
    config = config_of(vendor_file(tmp_path / "model.pt", **KINDS[kind]))
    model, calculator = mt.FinetuneModuleBase(config).eval(), config.vendor_calculator()
    for atoms in hard_structures().values():
        assert_equals_vendor(model, calculator, atoms)


def energy_of(model, atoms):
    return model.property_predictor().predict([atoms], ["energy"])[0]["energy"]


def test_a_tuned_model_goes_on_is_used_without_the_vendors_file_and_is_exported(tmp_path):
    tune_resume_and_predict(config_of(vendor_file(tmp_path / "model.pt", **UMA)), tmp_path)
    run = mt.Run(tmp_path / "tuned")
    exported = config_of(run.export()).vendor_calculator()
    ethanol = molecule("CH3CH2OH", vacuum=6, pbc=True)
    (ours,) = run.model().property_predictor().predict([ethanol])
    ethanol.calc = exported
    assert ours["energy"] == pytest.approx(ethanol.get_potential_energy(), abs=1e-4)
    assert ours["forces"] == pytest.approx(ethanol.get_forces(), abs=1e-4)
    assert ours["stresses"] == pytest.approx(ethanol.get_stress(), abs=1e-5)


def test_an_exported_file_is_loaded_by_the_vendor_with_the_references_in_it(file, tmp_path):
    assert_export_equals(config_of(file), tmp_path / "exported.pt")


def test_each_task_answers_for_itself(file):
    oxide = hard_structures()["oxide"]
    energies = []
    for task in TASKS:
        config = config_of(file, task=task)
        model = mt.FinetuneModuleBase(config).eval()
        assert_equals_vendor(model, config.vendor_calculator(), oxide)
        energies.append(energy_of(model, oxide))
    assert abs(energies[0] - energies[1]) > 1
    with pytest.raises(mt.ConfigError, match=r"task: .* has omat, omol; set one in place of None"):
        config_of(file, task=None).create_backbone()


def test_the_task_of_a_frame_is_its_own_or_that_of_the_config(file):
    frames = [hard_structures()["oxide"], molecule("H2O"), molecule("CH4")]
    frames[1].info["task"] = frames[2].info["task"] = "omol"
    frames[2].info["spin"] = 3
    model = mt.FinetuneModuleBase(config_of(file)).eval()
    together = model.property_predictor().predict(frames)
    omol = mt.FinetuneModuleBase(config_of(file, task="omol")).eval()
    for atoms, found, alone in zip(frames, together, (model, omol, omol), strict=True):
        own = atoms.copy()
        own.info.pop("task", None)
        assert found["energy"] == pytest.approx(energy_of(alone, own), abs=2e-5)
    frames[0].info["task"] = "oc20"
    with pytest.raises(mt.DataError, match=r"'task' is 'oc20', and has to be one of omat, omol"):
        energy_of(model, frames[0])


def test_frames_of_two_tasks_are_tuned_together_and_all_tasks_are_exported(tmp_path):
    config = mt.demo_config(tmp_path, "two")
    config.model = config_of(
        vendor_file(tmp_path / "model.pt", **UMA), properties=config.model.properties
    )
    frames = read(config.data.train.src, ":8")
    for atoms in frames[::2]:
        atoms.info["task"] = "omol"
    write(tmp_path / "two.xyz", frames)
    config.data.train = mt.XYZDatasetConfig(src=tmp_path / "two.xyz", index=":6")
    config.data.validation = mt.XYZDatasetConfig(src=tmp_path / "two.xyz", index="6:")
    config.data.test = None
    config.trainer.max_epochs = 1
    run = mt.MatterTuner(config).tune().run
    exported = run.export()
    oxide = hard_structures()["oxide"]
    for task in TASKS:
        oxide.info["task"] = task
        (ours,) = run.model().property_predictor().predict([oxide], ["energy"])
        vendors = config_of(exported, task=task).vendor_calculator()
        assert ours["energy"] == pytest.approx(vendors.get_potential_energy(oxide.copy()), abs=1e-4)


def test_a_checkpoint_of_one_task_as_before_version_3_loads(file):
    backbone = config_of(file).create_backbone()
    old = {"model": backbone.architecture["model"], "task": "omat", "output": "omat_energy"}
    state = backbone.state_dict()
    for name in backbone.always_double:
        state[name] = state[name][0]
    from mattertune_nb.backbones.fairchem.adapter import FairchemBackbone

    again = FairchemBackbone(old, None, "UMA", 0.0, None)
    again.load_state_dict(state)
    assert again.references.shape == (1, 119)
    assert again.references[0].equal(backbone.references[0])


def test_charge_and_spin_come_from_the_frame_or_from_the_config(file):
    water, anion = molecule("H2O"), molecule("H2O")
    anion.info.update(charge=-1, spin=2)
    model = mt.FinetuneModuleBase(config_of(file, task="omol")).eval()
    plain, charged = (energy_of(model, atoms) for atoms in (water, anion))
    assert plain != charged
    other = mt.FinetuneModuleBase(config_of(file, task="omol", charge=-1, spin=2)).eval()
    assert energy_of(other, water) == pytest.approx(charged, abs=1e-5)
    boxed = molecule("H2O", vacuum=6, pbc=True)
    boxed.info.update(anion.info)
    boxed.calc = config_of(file, task="omol").vendor_calculator()
    assert boxed.get_potential_energy() == pytest.approx(charged, abs=1e-4)
    anion.info["charge"] = 0.5
    with pytest.raises(mt.DataError, match=r"frame 0: its 'charge' is 0\.5, and has to be a whole"):
        energy_of(model, anion)


def test_a_file_is_loaded_only_after_it_was_trusted(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'owned'}",))

    torch.save(Hostile(), tmp_path / "hostile.pt")
    with pytest.raises(mt.ConfigError, match="set trust_checkpoint: true"):
        config_of(tmp_path / "hostile.pt", trust_checkpoint=False).create_backbone()
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"model": "subprocess.Popen"}, "models with subprocess.Popen cannot be tuned here"),
        ({"direct_forces": True}, "this model has direct forces"),
    ],
)
def test_settings_of_a_checkpoint_of_ours_build_nothing_else(file, part, message):
    from mattertune_nb.backbones.fairchem.files import build, read

    recipe = read(file, "omat").recipe
    recipe["model"]["backbone"] |= part
    with pytest.raises(mt.ConfigError, match=message):
        build(recipe)


def test_without_a_network_it_says_what_to_fetch_and_where_to_put_it(monkeypatch):
    from fairchem.core.calculate import pretrained_mlip

    def unreachable(*args, **kwargs):
        raise ConnectionError

    monkeypatch.setattr(pretrained_mlip, "hf_hub_download", unreachable)
    config = mt.FairchemBackboneConfig(trust_checkpoint=True, task="omat")
    with pytest.raises(
        mt.ConfigError, match=r"get uma-s-1p2p1\.pt from https://huggingface\.co/face"
    ):
        config.create_backbone()


def test_names_and_files_are_those_of_the_vendor():
    from fairchem.core.calculate.pretrained_mlip import _MODEL_CKPTS

    for name, facts in mt.FairchemBackboneConfig.weights().items():
        vendors = _MODEL_CKPTS.checkpoints[name]
        assert facts.download is not None
        assert list(facts.download.files) == [vendors.filename]
        assert f"/{vendors.repo_id}/" in facts.download.page


def test_loading_leaves_the_process_as_it_was(file):
    state, environment = np.random.get_state()[1].copy(), dict(os.environ)  # noqa: NPY002
    config_of(file).create_backbone()
    assert torch.get_default_dtype() == torch.float32
    assert dict(os.environ) == environment
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
