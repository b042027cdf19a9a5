"""CHGNet: the vendor's numbers on hard structures, from its wheel or a checkpoint of its trainer."""

from __future__ import annotations

import copy
import os
import socket

import pytest
import torch
from ase import Atoms
from lightning.pytorch import Trainer
from vendors import (
    NoNetwork,
    assert_equal_gradients,
    assert_equals_vendor,
    hard_structures,
    training_gradients,
)

import mattertune_nb as mt
from mattertune_nb.backbones.chgnet import adapter as chgnet_adapter
from mattertune_nb.backbones.chgnet.parts import PartAtomConv


@pytest.fixture(scope="module")
def calculator():
    return mt.CHGNetBackboneConfig().vendor_calculator()


@pytest.fixture
def vendor_file(tmp_path):
    """Write the checkpoint that CHGNet's own trainer writes, with weights of its own."""
    from chgnet.model.model import CHGNet

    model = CHGNet.load(use_device="cpu", verbose=False)
    with torch.no_grad():
        model.atom_embedding.embedding.weight *= 1.01
    torch.save({"model": model.as_dict()}, tmp_path / "vendor.pth.tar")
    return tmp_path / "vendor.pth.tar"


@pytest.mark.parametrize("name", hard_structures())
def test_hard_structures_as_the_vendor(chgnet, calculator, name):
    assert_equals_vendor(chgnet, calculator, hard_structures()[name])


def test_real_frames_as_the_vendor(chgnet, calculator, shared_data):
    for atoms in mt.XYZDatasetConfig(
        src=shared_data / "Li_electrode_val.xyz", index=":48:12"
    ).create_dataset():
        assert_equals_vendor(chgnet, calculator, atoms)


@pytest.mark.parametrize(
    ("file", "index"),
    [
        ("Li_electrode_finetune.xyz", "::6"),
        ("Li_electrode_val.xyz", ":"),
        ("train_30_water_1000_eVAng.xyz", "::10"),
    ],
)
def test_graphs_equal_the_vendors_edge_for_edge(chgnet, shared_data, file, index):
    from pymatgen.io.ase import AseAtomsAdaptor

    convert = chgnet.backbone.model.graph_converter
    for atoms in mt.XYZDatasetConfig(src=shared_data / file, index=index).create_dataset():
        theirs = convert(AseAtomsAdaptor.get_structure(atoms))
        ours = chgnet.backbone.graph(atoms)
        edges = torch.cat([ours.edge_index.T, ours.cell_shifts], dim=1)
        their_edges = torch.cat([theirs.atom_graph, theirs.neighbor_image.long()], dim=1)
        assert len(edges) == len(their_edges)
        assert torch.equal(_sorted(edges), _sorted(their_edges))
        # an angle is its two bonds, each named by centre, neighbour and image
        angles, their_angles = ours.extra["angles"], theirs.bond_graph
        assert len(angles) == len(their_angles)
        assert torch.equal(
            _sorted(torch.cat([edges[angles[:, 2]], edges[angles[:, 4]]], dim=1)),
            _sorted(
                torch.cat([their_edges[their_angles[:, 2]], their_edges[their_angles[:, 4]]], dim=1)
            ),
        )
        assert len(ours.extra["one_directed"]) == len(theirs.undirected2directed)


def _sorted(rows: torch.Tensor) -> torch.Tensor:
    """Return the rows in an order that depends on nothing but the rows."""
    return rows.long().unique(dim=0) if len(rows) else rows.long()


@pytest.mark.parametrize("weights", ["0.3.0", "0.2.0"])
def test_a_training_step_by_parts_is_that_of_the_vendors_layers(weights, monkeypatch):
    config = mt.CHGNetBackboneConfig(pretrained_model=weights)
    ours = config.create_backbone()
    assert isinstance(ours.model.atom_conv_layers[0], PartAtomConv)
    monkeypatch.setattr(chgnet_adapter, "work_by_parts", lambda model: None)
    theirs = config.create_backbone()
    assert not isinstance(theirs.model.atom_conv_layers[0], PartAtomConv)
    assert_equal_gradients(training_gradients(ours), training_gradients(theirs), rtol=1e-10)


def test_a_model_with_dropout_keeps_the_vendors_layers():
    from chgnet.model.model import CHGNet

    model = CHGNet(conv_dropout=0.1)
    chgnet_adapter.work_by_parts(model)
    assert type(model.bond_conv_layers[0]).__module__ == "chgnet.model.layers"


@pytest.mark.parametrize("weights", ["0.3.0", "0.2.0", "r2scan"])
def test_all_weights_are_in_the_wheel(weights, monkeypatch):
    monkeypatch.setattr(socket, "socket", NoNetwork)
    model = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(pretrained_model=weights))
    assert model.backbone.label == f"CHGNet {weights}"


def test_what_no_gradient_reaches_is_held(chgnet):
    held = {n for n, p in chgnet.backbone.named_parameters() if not p.requires_grad}
    assert {n for n in held if "composition" not in n} == {
        "model.site_wise.weight",
        "model.site_wise.bias",
        *(
            f"model.angle_layers.2.twoBody_bond.{part}"
            for name in ("mlp_core.layers.1", "mlp_gate.layers.1", "bn1", "bn2")
            for part in (f"{name}.weight", f"{name}.bias")
        ),
    }


@pytest.mark.parametrize("loss_on", ["energy", "forces"])
@pytest.mark.parametrize("distance", [3.5, 30.0])
def test_a_batch_without_angles_gives_all_else_a_gradient_of_zero(chgnet, distance, loss_on):
    backbone = copy.deepcopy(chgnet.backbone).train()
    apart = Atoms("O2", [[0, 0, 0], [0, 0, distance]])
    backbone(backbone.collate([backbone.graph(apart)]))[loss_on].square().sum().backward()
    gradients = {
        name: p.grad
        for name, p in backbone.named_parameters()
        if name.startswith("model.bond_conv")
    }
    assert gradients
    for name, gradient in gradients.items():
        assert gradient is not None, name
        assert not gradient.any(), name


def test_a_checkpoint_of_the_vendors_trainer(vendor_file, chgnet):
    config = mt.CHGNetBackboneConfig(checkpoint=vendor_file)
    model = mt.FinetuneModuleBase(config).eval()
    oxide = hard_structures()["oxide"]
    assert_equals_vendor(model, config.vendor_calculator(), oxide)
    ours, other = (m.property_predictor().predict([oxide])[0]["energy"] for m in (model, chgnet))
    assert ours != pytest.approx(other, abs=1e-3)


def test_a_tuned_checkpoint_needs_the_vendors_file_no_more(vendor_file, tmp_path):
    config = mt.CHGNetBackboneConfig(checkpoint=vendor_file)
    model = mt.FinetuneModuleBase(config).eval()
    oxide = hard_structures()["oxide"]
    expected = model.property_predictor().predict([oxide])[0]["energy"]
    trainer = Trainer(logger=False, accelerator="cpu")
    for generation in range(2):
        trainer.strategy.connect(model)
        trainer.save_checkpoint(tmp_path / f"{generation}.ckpt")
        vendor_file.unlink(missing_ok=True)
        model = mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / f"{generation}.ckpt")
        assert model.property_predictor().predict([oxide])[0]["energy"] == expected
        assert model.hparams == config


def test_a_file_that_could_run_code_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'owned'}",))

    torch.save({"model": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(mt.ConfigError, match=r"hostile\.pth is not a checkpoint .* loaded safely"):
        mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(checkpoint=tmp_path / "hostile.pth"))
    assert not (tmp_path / "owned").exists()


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(mt.ConfigError, match=r"nowhere\.pth does not exist"):
        mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(checkpoint=tmp_path / "nowhere.pth"))


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        ({"symbols": "Og"}, "'Og' is not known to CHGNet 0.3.0"),
        ({"symbols": ""}, "has no atoms"),
        ({"symbols": "Cu", "positions": [[float("nan"), 0, 0]]}, "atom 0 is not finite"),
        ({"symbols": "Cu", "cell": [3, 3, 0], "pbc": True}, "has no volume"),
    ],
)
def test_structures_that_have_no_graph_are_named(chgnet, atoms, message):
    with pytest.raises(mt.DataError, match=f"structures, frame 1: .*{message}"):
        chgnet.property_predictor().predict([Atoms("O"), Atoms(**atoms)])
