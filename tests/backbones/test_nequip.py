"""NequIP and Allegro: small random models in the vendor's own formats, and the vendor's calculator."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.data import atomic_numbers
from ase.io import write
from lightning.pytorch import Trainer
from vendors import assert_equals_vendor, assert_export_equals, hard_structures

import mattertune_nb as mt
from mattertune_nb.backbones.guard import guarded
from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.testing import check_backbone
from mattertune_nb.training.outcome.export import save_lammps

pytestmark = pytest.mark.skipif(
    not mt.AllegroBackboneConfig.is_installed(), reason=mt.AllegroBackboneConfig.install_hint()
)

ELEMENTS = ["O", "H", "Li", "C", "Cu", "Al"]
SHARED = {
    "seed": 1,
    "model_dtype": "float32",
    "type_names": ELEMENTS,
    "r_max": 4.0,
    "l_max": 1,
    "avg_num_neighbors": 20.0,
    "per_type_energy_shifts": {name: -1.0 - k for k, name in enumerate(ELEMENTS)},
}
NEQUIP = SHARED | {
    "_target_": "nequip.model.NequIPGNNModel",
    "num_layers": 2,
    "parity": True,
    "num_features": 8,
    "radial_mlp_width": 8,
    "type_embed_num_features": 8,
    "per_type_energy_scales": 1.5,
    "pair_potential": {
        "_target_": "nequip.nn.pair_potential.ZBL",
        "units": "metal",
        "chemical_species": ELEMENTS,
    },
}
ALLEGRO = SHARED | {
    "_target_": "allegro.model.AllegroModel",
    "num_layers": 1,
    "num_scalar_features": 8,
    "num_tensor_features": 4,
    "allegro_mlp_hidden_layers_width": 8,
    "scalar_embed_mlp_hidden_layers_width": 8,
    "readout_mlp_hidden_layers_width": 8,
    # a shorter cutoff between some elements, which the vendor's calculator cuts its list by
    "per_edge_type_cutoff": {"H": 3.0},
    "radial_chemical_embed": {"_target_": "allegro.nn.TwoBodyBesselScalarEmbed", "num_bessels": 4},
}
KINDS = {"nequip": NEQUIP, "allegro": ALLEGRO}


@guarded()
def vendor_checkpoint(path, model, trainer="nequip.train.NequIPLightningModule"):
    """Write what the vendor's trainer does, with frames of copper as its data."""
    from hydra.utils import get_class
    from nequip.utils import get_current_code_versions
    from nequip.utils.global_state import set_global_state

    set_global_state()
    copper = bulk("Cu", cubic=True)
    copper.rattle(0.1)
    copper.calc = EMT()
    copper.get_forces()
    write(path.with_suffix(".xyz"), copper)
    transforms = [
        {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": 4.0},
        {
            "_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper",
            "model_type_names": ELEMENTS,
        },
    ]
    data = {
        "_target_": "nequip.data.datamodule.ASEDataModule",
        "seed": 1,
        "train_file_path": str(path.with_suffix(".xyz")),
        "val_file_path": str(path.with_suffix(".xyz")),
        "transforms": transforms,
    }
    module = get_class(trainer)(
        model=model,
        num_datasets={"train": 1, "val": 0, "test": 0},
        info_dict={
            "versions": get_current_code_versions(verbose=False),
            "training_module": {"_target_": trainer, "model": model},
            "data": data,
        },
    )
    lightning = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    lightning.strategy.connect(module)
    with torch.no_grad():
        for parameter in module.model.parameters():
            parameter.mul_(1.01)  # a model that was trained, beside its average
    lightning.save_checkpoint(path)
    return path


@guarded()
def vendor_package(checkpoint):
    """Write the package of a checkpoint, as the vendor's command does."""
    from nequip.scripts.package import main

    path = checkpoint.with_suffix(".nequip.zip")
    main(["build", str(checkpoint), str(path)])
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nequip")
    found = {}
    for kind, model in KINDS.items():
        found[kind] = vendor_checkpoint(folder / f"{kind}.ckpt", model)
        found[f"{kind} package"] = vendor_package(found[kind])
    return found


def config_of(kind, path, **fields):
    cls = {"nequip": mt.NequIPBackboneConfig, "allegro": mt.AllegroBackboneConfig}[kind]
    return cls(checkpoint=path, **{"trust_checkpoint": True} | fields)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["checkpoint", "package"])
def test_hard_structures_as_the_vendor(files, kind, form):
    config = config_of(kind, files[kind if form == "checkpoint" else f"{kind} package"])
    model = mt.FinetuneModuleBase(config).eval()
    calculator = config.vendor_calculator()
    for name, atoms in hard_structures().items():
        if name != "one atom alone":  # the vendor's list is empty for it
            assert_equals_vendor(model, calculator, atoms)


@pytest.mark.parametrize("kind", KINDS)
def test_conformance(files, kind):
    backbone_config_class(kind)  # its entry point is installed
    check_backbone(config_of(kind, files[kind]))


def test_the_average_of_the_weights_is_what_the_vendor_predicts_with(tmp_path):
    path = vendor_checkpoint(tmp_path / "ema.ckpt", NEQUIP, "nequip.train.EMALightningModule")
    config = config_of("nequip", path)
    model = mt.FinetuneModuleBase(config).eval()
    assert_equals_vendor(model, config.vendor_calculator(), hard_structures()["oxide"])


def test_a_package_is_refused_before_any_of_its_code_runs(tmp_path):
    path = tmp_path / "hostile.nequip.zip"
    with torch.package.PackageExporter(path) as package:
        package.save_source_string("evil", f"import os; os.mkdir({str(tmp_path / 'owned')!r})")
        package.save_text("model", "package_metadata.txt", "package_version_id: 2")
    with pytest.raises(ConfigError, match=r"holds Python code.*set trust_checkpoint: true"):
        mt.FinetuneModuleBase(config_of("nequip", path, trust_checkpoint=False))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "target",
    ["os.mkdir", "nequip.model.utils.functools.partial", "nequip.model.ModelFromCheckpoint"],
)
def test_settings_that_call_something_else_are_not_followed(target, tmp_path):
    from mattertune_nb.backbones.nequip.files import build

    with pytest.raises(ConfigError, match="builds no model of NequIP or Allegro"):
        build({"_target_": target, "path": str(tmp_path / "owned")})
    nested = NEQUIP | {"pair_potential": {"_target_": target}}
    with pytest.raises(ConfigError, match="builds no model of NequIP or Allegro"):
        build(nested)


def test_a_checkpoint_with_objects_is_refused_until_it_is_trusted(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    path = tmp_path / "hostile.ckpt"
    torch.save({"hyper_parameters": Hostile()}, path)
    with pytest.raises(ConfigError, match=r"can run any code.*set trust_checkpoint: true"):
        mt.FinetuneModuleBase(config_of("nequip", path, trust_checkpoint=False))
    assert not (tmp_path / "owned").exists()


def test_a_model_made_from_a_package_needs_its_file_and_trust_of_this_machine(
    files, tmp_path, monkeypatch
):
    recipe = {
        "_target_": "nequip.model.ModelFromPackage",
        "package_path": str(files["nequip package"]),
    }
    path = vendor_checkpoint(tmp_path / "tuned.ckpt", recipe)
    with pytest.raises(ConfigError, match="set trust_checkpoint: true"):
        mt.FinetuneModuleBase(config_of("nequip", path, trust_checkpoint=False))
    config = config_of("nequip", path)
    model = mt.FinetuneModuleBase(config).eval()
    oxide = hard_structures()["oxide"]
    assert_equals_vendor(model, config.vendor_calculator(), oxide)
    saved = save(model, tmp_path / "ours.ckpt")
    again = mt.FinetuneModuleBase.load_from_checkpoint(saved)
    assert_same(model, again, oxide)
    # whatever settings a checkpoint holds, another machine has not trusted the file
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(ConfigError, match="has not been trusted on this machine"):
        mt.FinetuneModuleBase.load_from_checkpoint(saved)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ConfigError, match="SHA-256 differs"):
        mt.FinetuneModuleBase.load_from_checkpoint(saved)


def save(model, path):
    trainer = Trainer(logger=False, accelerator="cpu")
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return path


def assert_same(model, again, atoms):
    (before,), (after,) = (m.property_predictor().predict([atoms]) for m in (model, again))
    assert after["energy"] == before["energy"]
    assert (after["forces"] == before["forces"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_tuned_checkpoint_needs_the_vendors_file_no_more(files, kind, tmp_path):
    path = tmp_path / "vendor.nequip.zip"
    path.write_bytes(files[f"{kind} package"].read_bytes())
    model = mt.FinetuneModuleBase(config_of(kind, path)).eval()
    saved = save(model, tmp_path / "tuned.ckpt")
    torch.load(saved, weights_only=True)
    path.unlink()
    assert_same(
        model, mt.FinetuneModuleBase.load_from_checkpoint(saved), hard_structures()["oxide"]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_from_tuning_to_the_vendors_own_calculator(files, kind, tmp_path):
    data = mt.AutoSplitDataModuleConfig(
        dataset=mt.XYZDatasetConfig(src=mt.demo_data("train")), train_split=8, batch_size=4
    )
    config = mt.MatterTunerConfig(
        model=config_of(kind, files[kind]),
        data=data,
        trainer=mt.TrainerConfig(max_epochs=1, accelerator="cpu"),
        run=mt.RunConfig(name=kind, root=tmp_path),
    )
    run = mt.MatterTuner(config).tune().run
    longer = mt.MatterTunerConfig.from_yaml(run.directory.config_file)
    longer.trainer.max_epochs = 2
    mt.MatterTuner(longer).resume(run.path)
    ethanol = molecule("CH3CH2OH")
    ethanol.calc = run.model().ase_calculator()
    energy, forces = ethanol.get_potential_energy(), ethanol.get_forces()
    (predicted,) = run.model().property_predictor().predict([ethanol])
    assert predicted["energy"] == pytest.approx(energy, abs=1e-6)
    exported = config_of(kind, run.export()).vendor_calculator()
    boxed = ethanol.copy()
    boxed.center(vacuum=6)
    boxed.pbc = True
    boxed.calc = exported
    assert boxed.get_potential_energy() == pytest.approx(energy, abs=1e-4)
    np.testing.assert_allclose(boxed.get_forces(), forces, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_file_is_loaded_by_the_vendor_with_the_references_in_it(files, kind, tmp_path):
    assert_export_equals(config_of(kind, files[kind]), tmp_path / "exported.ckpt")


def test_without_a_network_the_name_says_which_file_to_get(monkeypatch):
    import requests

    def refuse(*args, **kwargs):
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "request", refuse)
    config = mt.NequIPBackboneConfig(trust_checkpoint=True)
    with pytest.raises(ConfigError, match=r"get NequIP-OAM-L-0\.1\.nequip\.zip from https"):
        mt.FinetuneModuleBase(config)
    with pytest.raises(ConfigError, match="set trust_checkpoint: true"):
        mt.FinetuneModuleBase(mt.NequIPBackboneConfig())


def test_a_plain_checkpoint_needs_no_trust_and_the_vendors_calculator_does(files):
    config = config_of("nequip", files["nequip"], trust_checkpoint=False)
    assert mt.FinetuneModuleBase(config).backbone.elements == tuple(
        sorted(ELEMENTS, key=atomic_numbers.__getitem__)
    )
    with pytest.raises(ConfigError, match="set trust_checkpoint: true"):
        config.vendor_calculator()


def test_a_name_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match=r"is not nequip\.net:GROUP/MODEL:VERSION"):
        mt.NequIPBackboneConfig(pretrained_model="NequIP-OAM-L")


def test_loading_leaves_the_process_as_it_was(files):
    state = torch.get_rng_state()
    config_of("nequip", files["nequip"]).vendor_calculator()
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
def test_lammps_gets_a_checkpoint_the_command_that_compiles_it_and_the_lines(files, kind, tmp_path):
    model = mt.FinetuneModuleBase(config_of(kind, files[kind])).eval()
    model.normalization.references[29] = -2.0
    model.normalization.span[0, [29, 8]] = 1.0
    save_lammps(model, tmp_path / "tuned.pt")
    lines = (tmp_path / "tuned.in").read_text(encoding="utf-8")
    assert "nequip-compile tuned.pt tuned.nequip.pt2 --mode aotinductor" in lines
    assert f"--target pair_{kind} --data-path tuned.example.pt" in lines
    assert f"newton        {'on' if kind == 'allegro' else 'off'}\n" in lines
    assert f"pair_style    {kind}\n" in lines
    assert "pair_coeff    * * tuned.nequip.pt2 O Cu\n" in lines
    again = mt.FinetuneModuleBase(config_of(kind, tmp_path / "tuned.pt")).eval()
    atoms = hard_structures()["oxide"]
    energies = [m.property_predictor().predict([atoms])[0]["energy"] for m in (model, again)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-4)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_the_command_for_lammps_compiles_what_was_exported(files, kind, tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler to compile the model with")
    model = mt.FinetuneModuleBase(config_of(kind, files[kind])).double().eval()
    model.normalization.references[29] = -2.0
    save_lammps(model, tmp_path / "tuned.pt")
    line = (tmp_path / "tuned.in").read_text(encoding="utf-8").splitlines()[0]
    command = line.partition(": ")[2].replace("--device cuda", "--device cpu").split(" #")[0]
    bin_dir = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        command.split(), check=True, cwd=tmp_path, env=os.environ | {"PATH": bin_dir}, timeout=3000
    )
    compiled = torch._inductor.aoti_load_package(str(tmp_path / "tuned.nequip.pt2"))
    oxide = hard_structures()["oxide"]
    oxide.symbols[:3] = "Cu"
    atoms, forces, _ = compiled(as_the_pair_style_gives(kind, model.backbone, oxide))
    n = len(oxide)
    # for Allegro, each atom outside the cell is one of its own, and its force goes to its origin
    owner = torch.cat([torch.arange(n), ghosts(model.backbone.graph(oxide))])[: len(forces)]
    forces = torch.zeros(n, 3, dtype=forces.dtype).index_add(0, owner, forces)
    (ours,) = model.property_predictor().predict([oxide])
    assert float(atoms[:n].sum()) == pytest.approx(ours["energy"], abs=1e-5 * n)
    np.testing.assert_allclose(forces.numpy(), ours["forces"], atol=1e-5)


def ghosts(graph):
    """Return the atom that each neighbour outside the cell is an image of."""
    return graph.edge_index[1, graph.cell_shifts.any(dim=1)]


def as_the_pair_style_gives(kind, backbone, atoms):
    """Return the input of a compiled model, as the sources of `pair_nequip_allegro` make it."""
    graph = backbone.graph(atoms)
    types = backbone.types[graph.numbers]
    if kind == "nequip":
        shifts = graph.cell_shifts.double()
        return [graph.positions, graph.edge_index, types, graph.cell[None], shifts]
    outside = graph.cell_shifts.any(dim=1)
    images = graph.cell_shifts[outside].double() @ graph.cell
    edges = graph.edge_index.clone()
    edges[1, outside] = len(atoms) + torch.arange(int(outside.sum()))
    positions = torch.cat([graph.positions, graph.positions[ghosts(graph)] + images])
    return [positions, edges, torch.cat([types, types[ghosts(graph)]])]
