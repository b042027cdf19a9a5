"""metatrain's checkpoints of PET: reading, conversion to plain settings, and writing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from metatensor.torch import TensorBlock, TensorMap, load_buffer, save_buffer
from metatomic_ase import MetatomicCalculator
from metatrain.pet import PET
from metatrain.utils.data import DatasetInfo
from metatrain.utils.data.target_info import get_energy_target_info
from metatrain.utils.io import model_from_checkpoint
from typing_extensions import override

from mattertune_nb.config.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ase import Atoms
    from torch import Tensor


def read(path: Path) -> Any:
    """Return the vendor's model in a checkpoint; loading runs any code in the file."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=False)
    model = model_from_checkpoint(checkpoint, context="export")
    # the vendor's wrapper for uncertainties
    model = getattr(model, "model", model)
    if not isinstance(model, PET):
        msg = f"checkpoint: {path} holds a {type(model).__name__}, not a PET."
        raise ConfigError(msg)
    return model


def target_of(model: Any, wanted: str | None) -> str:
    """Return the name of the energy among the targets of a model.

    Raises
    ------
    ConfigError
        There is none, or there are several and none was chosen.
    """
    found = [n for n, about in model.dataset_info.targets.items() if about.quantity == "energy"]
    if wanted is None and (len(found) == 1 or "energy" in found):
        return "energy" if "energy" in found else found[0]
    if wanted not in found:
        msg = (
            f"target: this PET has {', '.join(found) or 'no energy'}; set one in place of {wanted}."
        )
        raise ConfigError(msg)
    return str(wanted)


def rebuilt(model: Any, wanted: str | None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the settings needed to rebuild a model's energy, in builtins, and its weights.

    Raises
    ------
    ConfigError
        Its energy depends on more than atoms and neighbours, or its units are not eV and Å.
    """
    target, info = target_of(model, wanted), model.dataset_info
    beside = [type(additive).__name__ for additive in model.additive_models[1:]]
    beside += ["long-range features"] if model.long_range else []
    if beside:
        msg = f"checkpoint: this PET has {', '.join(beside)}, which cannot be tuned here."
        raise ConfigError(msg)
    units = info.length_unit.lower(), info.targets[target].unit.lower()
    if units[0] not in {"angstrom", "å", "a"} or units[1] != "ev":
        msg = f"checkpoint: this PET is in {units[0]} and {units[1]}, but must be in Å and eV."
        raise ConfigError(msg)
    recipe = {
        "hypers": json.loads(json.dumps(model.hypers)),
        "atomic_types": [int(z) for z in model.atomic_types],
        "target": target,
    }
    wanted_names = build(recipe).backend.state_dict()
    state = {k: v for k, v in model.backend.state_dict().items() if k in wanted_names}
    weights = {f"backend.{name}": value for name, value in state.items()}
    model.scaler.sync_tensor_maps()
    model.additive_models[0].sync_tensor_maps()
    scale = model.scaler.model.scales[target].block().values
    weights["scale"] = scale.detach().double().reshape(-1)[0]
    by_type = model.additive_models[0].model.weights[target].block().values
    weights["isolated"] = by_type.detach().double().reshape(-1)
    return recipe, weights


def build(recipe: Mapping[str, Any]) -> Any:
    """Build the vendor's model from plain settings, with random weights."""
    target = recipe["target"]
    about = get_energy_target_info(target, {"unit": "eV"})
    return PET(recipe["hypers"], DatasetInfo("angstrom", recipe["atomic_types"], {target: about}))


def save(
    recipe: Mapping[str, Any],
    backend: Mapping[str, Tensor],
    scale: Tensor,
    isolated: Tensor,
    path: Path,
) -> None:
    """Write a checkpoint that metatrain and upet load.

    Parameters
    ----------
    recipe
        Settings from :func:`rebuilt`.
    backend
        Weights of the vendor's ``PETBackend``.
    scale
        Factor of its energy, ().
    isolated
        Energy added for each atom, by element, in eV, (n_types,).
    path
        The file.
    """
    model, target = build(recipe), recipe["target"]
    model.backend.load_state_dict(backend)
    composition, scaler = model.additive_models[0], model.scaler
    for owner, name, value in (
        (composition, "composition", isolated),
        (scaler, "scaler", scale),
        (scaler, "per_target_scaler", scale),
    ):
        kept = f"{target}_{name}_buffer"
        # has the right shape and labels, but no values yet
        before = load_buffer(getattr(owner, kept))
        block = before.block()
        filled = TensorBlock(
            value.detach().double().reshape(block.values.shape),
            block.samples,
            block.components,
            block.properties,
        )
        owner.register_buffer(kept, save_buffer(TensorMap(before.keys, [filled])))
        owner.sync_tensor_maps()
    torch.save(model.get_checkpoint(), path)


class Calculator(MetatomicCalculator):  # type: ignore[misc]
    """The vendor's calculator; structures without charge and spin get those of the config."""

    def __init__(self, model: Any, target: str, inputs: Mapping[str, float]) -> None:
        variant = target.partition("/")[2]
        super().__init__(
            model.export(),
            device="cpu",
            variants={"energy": variant} if variant else None,
            uncertainty_threshold=None,
        )
        self._inputs = dict(inputs)

    @override
    def calculate(self, atoms: Atoms, *args: Any, **kwargs: Any) -> None:
        atoms = atoms.copy()
        atoms.info = {**self._inputs, **atoms.info}
        super().calculate(atoms, *args, **kwargs)
