"""fairchem's inference checkpoints: reading, conversion to plain settings, and writing."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hydra
import torch
from ase.data import chemical_symbols
from fairchem.core import FAIRChemCalculator
from fairchem.core.models.base import HydraModel
from fairchem.core.models.uma.compat import apply_uma_compat_fixups
from fairchem.core.units.mlip_unit import MLIPPredictUnit
from fairchem.core.units.mlip_unit.api.inference import InferenceSettings, MLIPInferenceCheckpoint
from omegaconf import OmegaConf
from typing_extensions import override

from mattertune_nb.config.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from ase import Atoms
    from torch import Tensor

_UMA = "fairchem.core.models.uma."
_BACKBONES = {
    "escnmd_backbone": f"{_UMA}escn_md.eSCNMDBackbone",
    "escnmd_moe_backbone": f"{_UMA}escn_moe.eSCNMDMoeBackbone",
}
_HEADS = {
    *(
        f"{_UMA}escn_md.{name}"
        for name in ("MLP_EFS_Head", "MLP_Energy_Head", "Linear_Energy_Head")
    ),
    f"{_UMA}escn_moe.DatasetSpecificMoEWrapper",
    f"{_UMA}escn_moe.DatasetSpecificSingleHeadWrapper",
}
"""Classes that are built; any other class name could be arbitrary code."""

_OURS = {
    # we provide the edges from our graphs, and take the gradients
    "otf_graph": False,
    "regress_forces": False,
    "regress_stress": False,
    "regress_hessian": False,
    # with it, second derivatives fail
    "activation_checkpointing": False,
    # as the vendor does for predictions
    "always_use_pbc": False,
    "use_quaternion_wigner": True,
    "execution_mode": "general",
}


@dataclass(frozen=True)
class Loaded:
    """The content of a checkpoint for its tasks, in float64.

    Attributes
    ----------
    recipe
        Everything needed to rebuild the model, in builtins; ``outputs`` has the name of each task's energy.
    weights
        Weights of the vendor's ``HydraModel``.
    scale, shift
        The energy of a task is the model's output times `scale` plus `shift`, in eV, (tasks,).
    references
        Energy added for each atom, by task and atomic number, in eV, (tasks, 119).
    """

    recipe: dict[str, Any]
    weights: dict[str, Tensor]
    scale: Tensor
    shift: Tensor
    references: Tensor


def outputs_of(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return the name of the model's output by task; before version 0.3 a recipe had a single task."""
    return recipe["outputs"] if "outputs" in recipe else {recipe["task"]: recipe["output"]}


def task_of(names: Collection[str], wanted: str | None, source: object) -> str:
    """Return the task used for structures that do not name one.

    Raises
    ------
    ConfigError
        There is no such task, or there are several and none was chosen.
    """
    if wanted is None and len(names) == 1:
        (wanted,) = names
    if wanted is None or wanted not in names:
        msg = f"task: {source} has {', '.join(sorted(names)) or 'none'}; set one in place of {wanted}."
        raise ConfigError(msg)
    return wanted


def read(path: Path, wanted: str | None) -> Loaded:
    """Return the tasks of a checkpoint; loading runs any code in the file.

    Raises
    ------
    ConfigError
        The checkpoint has no such task, or no energy whose gradients are the forces.
    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=False)
    apply_uma_compat_fixups(checkpoint, checkpoint_location=str(path))
    tasks = [hydra.utils.instantiate(config) for config in checkpoint.tasks_config]
    energies = {name: t for t in tasks if t.property == "energy" for name in t.datasets}
    task = task_of(energies, wanted, path)
    config = checkpoint.model_config
    config = (
        OmegaConf.to_container(config) if OmegaConf.is_config(config) else copy.deepcopy(config)
    )
    settings = {
        k: config[k] for k in ("backbone", "heads", "pass_through_head_outputs") if k in config
    }
    settings["heads"] = {k: v for k, v in config["heads"].items() if v["module"] in _HEADS}
    settings |= {k: config.get(k) for k in ("model_id", "supports_single_atoms") if config.get(k)}
    outputs = {name: energy.name for name, energy in energies.items()}
    recipe = {"model": settings, "task": task, "outputs": outputs}
    model = build(recipe)
    state = checkpoint.ema_state_dict or checkpoint.model_state_dict
    state = {k.removeprefix("module."): v for k, v in state.items()}
    # leaves out heads for stress or direct forces in addition to that of the energy
    kept = {k: v for k, v in state.items() if k in model.state_dict()}
    missing = {n for n, _ in model.named_parameters()} - set(kept)
    if missing:
        msg = f"checkpoint: {path} lacks the weights {', '.join(sorted(missing)[:3])}."
        raise ConfigError(msg)
    references = torch.zeros(len(energies), len(chemical_symbols), dtype=torch.float64)
    for own, energy in zip(references, energies.values(), strict=True):
        if energy.element_references is not None:
            given = energy.element_references.element_references.double()[: len(own)]
            own[: len(given)] = given
    scale, shift = (
        torch.tensor([float(getattr(e.normalizer, name)) for e in energies.values()]).double()
        for name in ("rmsd", "mean")
    )
    return Loaded(recipe, kept, scale, shift, references)


def build(recipe: Mapping[str, Any]) -> Any:
    """Build the vendor's model from plain settings, with random weights.

    Raises
    ------
    ConfigError
        The settings are not those of a model whose energy can be tuned.
    """
    settings = copy.deepcopy(dict(recipe["model"]))
    backbone = settings["backbone"]
    classes = {backbone.get("model")}
    heads = settings["heads"].values()
    inner = {h.get("module") for h in heads} | {h.get("head_cls") for h in heads} - {None}
    others = (classes - {*_BACKBONES, *_BACKBONES.values()}) | (inner - _HEADS)
    if others or not heads:
        msg = f"checkpoint: models with {', '.join(map(str, others)) or 'no head'} cannot be tuned here."
        raise ConfigError(msg)
    if backbone.get("direct_forces", True):
        msg = (
            "checkpoint: this model has direct forces, which are not gradients of its energy; choose a "
            "conservative one."
        )
        raise ConfigError(msg)
    settings["backbone"] = {**backbone, **_OURS}
    return HydraModel(**settings)


def save(loaded: Loaded, path: Path) -> None:
    """Write an inference checkpoint that fairchem loads."""
    place = "fairchem.core.modules.normalization."
    unit = "fairchem.core.units.mlip_unit.mlip_unit."

    def about(
        task: str, name: str, level: str, dim: list[int], mean: float, references: Any
    ) -> dict[str, Any]:
        return {
            "_target_": f"{unit}Task",
            "name": outputs[task].replace("energy", name),
            "level": level,
            "property": name,
            "datasets": [task],
            "out_spec": {"_target_": f"{unit}OutputSpec", "dim": dim, "dtype": "float32"},
            "normalizer": {
                "_target_": f"{place}normalizer.Normalizer",
                "mean": mean,
                "rmsd": loaded.scale[list(outputs).index(task)].item(),
            },
            "element_references": references,
        }

    outputs, tasks = outputs_of(loaded.recipe), []
    for k, task in enumerate(outputs):
        references = {
            "_target_": f"{place}element_references.ElementReferences",
            "element_references": {
                "_target_": "torch.DoubleTensor",
                "_args_": [loaded.references[k].tolist()],
            },
        }
        tasks += [
            about(task, "energy", "system", [1], loaded.shift[k].item(), references),
            about(task, "forces", "atom", [3], 0.0, None),
        ]
    checkpoint = MLIPInferenceCheckpoint(
        model_config={"_target_": "fairchem.core.models.base.HydraModel", **loaded.recipe["model"]},
        model_state_dict=loaded.weights,
        ema_state_dict={
            "n_averaged": torch.tensor(1),
            **{f"module.{name}": value for name, value in loaded.weights.items()},
        },
        tasks_config=tasks,
    )
    torch.save(checkpoint, path)


class Calculator(FAIRChemCalculator):  # type: ignore[misc]
    """The vendor's calculator in float64; structures without charge and spin get those of the config."""

    def __init__(self, path: Path, task: str | None, inputs: Mapping[str, float]) -> None:
        settings = InferenceSettings(
            activation_checkpointing=False, base_precision_dtype=torch.float64
        )
        unit = MLIPPredictUnit(str(path), device="cpu", inference_settings=settings)
        super().__init__(unit, task)
        self._inputs = dict(inputs)

    @override
    def calculate(self, atoms: Atoms, *args: Any, **kwargs: Any) -> None:
        atoms = atoms.copy()
        given = {**self._inputs, **atoms.info}
        atoms.info = {**given, "charge": int(given["charge"]), "spin": int(given["spin"])}
        super().calculate(atoms, *args, **kwargs)
