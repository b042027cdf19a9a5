"""Files of NequIP and Allegro: the settings that build a model, and its weights."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import torch
import yaml
from hydra.utils import get_method, get_object
from nequip.data import AtomicDataDict as Key
from nequip.model.modify_utils import only_apply_persistent_modifiers
from nequip.model.saved_models.load_utils import load_saved_model
from nequip.utils.global_state import set_global_state

from mattertune_nb.config.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from mattertune_nb.backbones.graph import Graph

MODEL = "model.sole_model."
"""Prefix of the name of each weight in the checkpoints of the vendor's trainer."""

# the vendor's functions that build a model or a layer
_BUILDERS = {
    "NequIPGNNModel",
    "PresetNequIPGNNModel",
    "FullNequIPGNNModel",
    "AllegroModel",
    "FullAllegroModel",
    "TwoBodyBesselScalarEmbed",
    "modify",
}
_TRAINERS = {"NequIPLightningModule", "EMALightningModule"}


def load(path: Path, require_trust: Callable[[], None]) -> tuple[Any, dict[str, Any] | None]:
    """Load one of the vendor's checkpoints or packages.

    Parameters
    ----------
    path
        The file.
    require_trust
        Called before loading anything that can run code; raises if that is not allowed.

    Returns
    -------
    tuple
        The vendor's ``GraphModel``, and the settings from which :func:`build` rebuilds it; ``None`` if only
        the file can rebuild it.
    """
    set_global_state()
    if not path.name.endswith(".nequip.zip"):
        found = _safely(path)
        if found is not None:
            return found
    require_trust()
    model = load_saved_model(str(path), compile_mode="eager", model_key="sole_model")
    recipe = _recipe_in(path)
    if recipe is None:
        return model, None
    try:
        again = build(recipe)
        again.load_state_dict(model.state_dict())
    except (ConfigError, RuntimeError, TypeError, ValueError):
        # made from another file, or by a version with different layers
        return model, None
    return again, recipe


def build(recipe: dict[str, Any]) -> Any:
    """Build the vendor's ``GraphModel`` from its settings, with random weights.

    Raises
    ------
    ConfigError
        The settings call something other than the vendor's layers.
    """
    set_global_state()
    for target in _targets(recipe):
        _check_target(target)
    arguments = dict(recipe)
    # as the vendor's trainer does, but without modifiers that speed up a model on one machine
    with only_apply_persistent_modifiers(persistent_only=True):
        return get_method(arguments.pop("_target_"))(**arguments)


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (str(v) for k, v in value.items() if k == "_target_")
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from _targets(part)


def _check_target(target: str) -> None:
    """Refuse anything other than a layer or builder; a dotted path can lead through a module to anything."""
    if target.split(".")[0] in ("nequip", "allegro"):
        found = get_object(target)
        home = str(getattr(found, "__module__", "")).split(".")
        is_layer = isinstance(found, type) and issubclass(found, torch.nn.Module)
        if home[0] in ("nequip", "allegro") and (
            (is_layer and home[1] == "nn") or found.__name__ in _BUILDERS
        ):
            return
    msg = f"'{target}' builds no model of NequIP or Allegro."
    raise ConfigError(msg)


def _safely(path: Path) -> tuple[Any, dict[str, Any]] | None:
    """Load a checkpoint that holds only tensors and builtins, and specifies how its model is built."""
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
        settings = contents["hyper_parameters"]
        trainer = settings["info_dict"]["training_module"]["_target_"].rpartition(".")[2]
        recipe = settings["model"]
        if trainer not in _TRAINERS:
            return None
        model = build(recipe)
    except Exception:  # the vendor's loader reports what is wrong with it
        return None
    state = contents["state_dict"]
    weights = {k.removeprefix(MODEL): v for k, v in state.items() if k.startswith(MODEL)}
    # the vendor predicts with an average of the weights
    averages = [f"ema.ema_weight_{i}" for i, _ in enumerate(model.parameters())]
    if averages[0] in state:
        names = (name for name, _ in model.named_parameters())
        weights |= {name: state[key] for name, key in zip(names, averages, strict=True)}
    model.load_state_dict(weights)
    return model, recipe


def _recipe_in(path: Path) -> dict[str, Any] | None:
    """Return the settings of the model in a package."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as package:
        for name in package.namelist():
            if name.endswith("/model/config.yaml"):
                settings = yaml.safe_load(package.read(name))
                return dict(settings["training_module"]["model"])
    return None


def save_example(graph: Graph, types: Tensor, path: Path) -> None:
    """Write a structure as the vendor's compiler reads one; it traces a model on it.

    Parameters
    ----------
    graph
        The structure.
    types
        The model's type of each atom.
    path
        The file.
    """
    holder = torch.nn.Module()
    holder.register_buffer(Key.POSITIONS_KEY, graph.positions)
    holder.register_buffer(Key.CELL_KEY, graph.cell[None])
    holder.register_buffer(Key.ATOM_TYPE_KEY, types)
    holder.register_buffer(Key.EDGE_INDEX_KEY, graph.edge_index)
    holder.register_buffer(Key.EDGE_CELL_SHIFT_KEY, graph.cell_shifts.double())
    holder.register_buffer(Key.NUM_NODES_KEY, torch.tensor([len(types)]))
    holder.register_buffer(Key.BATCH_KEY, torch.zeros_like(types))
    torch.jit.script(holder).save(str(path))  # type: ignore[no-untyped-call]
