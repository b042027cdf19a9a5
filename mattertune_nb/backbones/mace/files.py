"""MACE's files: the vendor's pickles, and their content as plain settings and tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from ase import Atoms
from mace.calculators import MACECalculator
from mace.modules import ScaleShiftMACE, gate_dict, interaction_classes, readout_classes

# its e3nn 0.4.4 can only be imported after mace, which has to allow the way e3nn loads its constants
from mace.modules.models import o3
from mace.tools.scripts_utils import extract_config_mace_model
from mace.tools.torch_tools import default_dtype

from mattertune_nb.config.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

FORMAT = "mattertune_nb.mace"
"""Key of the settings in a plain file, stored alongside ``state_dict``."""

_CLASSES = {
    "interaction_cls": interaction_classes,
    "interaction_cls_first": interaction_classes,
    "readout_cls": readout_classes,
}
_IRREPS = ("hidden_irreps", "edge_irreps", "MLP_irreps")


def read(path: Path, require_trust: Callable[[], None]) -> Any:
    """Return the vendor's model from a plain file or from one of the vendor's pickles.

    Parameters
    ----------
    path
        The file.
    require_trust
        Called before loading anything that can run code; raises if that is not allowed.
    """
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a pickle of objects, or not a torch file: the next lines find out
        require_trust()
        contents = torch.load(path, map_location="cpu", weights_only=False)
    if isinstance(contents, dict) and FORMAT in contents:
        state = contents["state_dict"]
        model = build(contents[FORMAT], state["r_max"].dtype)
        model.load_state_dict(state)
        return model
    return contents


def save_plain(model: Any, path: Path) -> None:
    """Write one of the vendor's models as plain settings and tensors, which any version of e3nn can load.

    Raises
    ------
    ConfigError
        The model cannot be rebuilt from settings.
    """
    model, settings = rebuilt(model)
    torch.save({FORMAT: settings, "state_dict": model.state_dict()}, path)


def rebuilt(model: Any) -> tuple[Any, dict[str, Any]]:
    """Return a model rebuilt from its plain settings, and the settings.

    Raises
    ------
    ConfigError
        The rebuilt model is a different one.
    """
    settings = plain_settings(model)
    again = build(settings, model.r_max.dtype)
    missing, unexpected = again.load_state_dict(model.state_dict(), strict=False)
    # files of older versions lack constants that are the same in every model
    lost = {name for name, _ in again.named_parameters()} & set(missing)
    (energy, forces), (energy_2, forces_2) = (_trial(m) for m in (model, again))
    alike = abs(energy - energy_2) < 1e-6 * abs(energy) + 1e-4
    if unexpected or lost or not alike or abs(forces - forces_2).max() > 1e-4:
        msg = "checkpoint: this MACE cannot be rebuilt from its settings with the installed mace-torch."
        raise ConfigError(msg)
    return again, settings


def _trial(model: Any) -> tuple[float, NDArray[np.float64]]:
    """Return energy and forces of a few atoms of different elements, from the vendor's calculator."""
    step = 0.4 * float(model.r_max)
    numbers = [int(z) for z in model.atomic_numbers][-4:]
    atoms = Atoms(numbers, [[k * step, 0.3 * step * k**2, 0.1 * k] for k in range(len(numbers))])
    dtype = str(model.r_max.dtype).removeprefix("torch.")
    head = getattr(model, "heads", ["Default"])[-1]
    atoms.calc = MACECalculator(models=[model], device="cpu", default_dtype=dtype, head=head)
    return atoms.get_potential_energy(), atoms.get_forces()


def plain_settings(model: Any) -> dict[str, Any]:
    """Return the settings needed to rebuild a model, in builtins.

    Raises
    ------
    ConfigError
        The energy of the model's class depends on more than atoms and neighbours.
    """
    if not hasattr(model, "state_dict") or type(model).__name__ != "ScaleShiftMACE":
        msg = f"checkpoint: a {type(model).__name__} cannot be tuned; only a ScaleShiftMACE can."
        raise ConfigError(msg)
    if hasattr(model, "joint_embedding"):
        inputs = ", ".join(model.embedding_specs)
        msg = f"checkpoint: this MACE needs {inputs} of each structure, which is not supported yet."
        raise ConfigError(msg)
    found = extract_config_mace_model(model)
    for name in _CLASSES:
        found[name] = found[name].__name__
    for name in _IRREPS:
        found[name] = None if found[name] is None else str(found[name])
    gate = found["gate"]
    name = getattr(gate, "__name__", type(gate).__name__).lower()
    found["gate"] = "None" if gate is None else name
    # applies to GPUs only
    found.pop("cueq_config")
    return {k: v.tolist() if hasattr(v, "tolist") else v for k, v in found.items()}


def build(settings: dict[str, Any], dtype: torch.dtype = torch.float32) -> Any:
    """Build the vendor's model from plain settings, with random weights."""
    given = dict(settings)
    for name, classes in _CLASSES.items():
        given[name] = classes[given[name]]
    for name in _IRREPS:
        given[name] = None if given[name] is None else o3.Irreps(given[name])
    given["gate"] = gate_dict[given["gate"]]
    with default_dtype(dtype):
        return ScaleShiftMACE(**given)
