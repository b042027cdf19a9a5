"""A model as one file of safetensors: tensors, and all else as JSON, which no program has to trust."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from mattertune_nb.config.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mattertune_nb.model.module import FinetuneModuleBase

SUFFIX = ".safetensors"
_OURS, _WEIGHTS, _OTHER = "mattertune_nb", "state_dict.", "other."
_ABOUT = "about"
_TENSOR, _PAIRS, _TUPLE, _DTYPE = "__tensor__", "__pairs__", "__tuple__", "__dtype__"


def save_archive(
    model: FinetuneModuleBase, path: Path, about: Mapping[str, Any] | None = None
) -> None:
    """Write a model with its settings and reference energies.

    Parameters
    ----------
    model
        The model.
    path
        The file.
    about
        What else is to be kept, in builtins.

    Raises
    ------
    OSError
        It cannot be written.
    TrainingError
        It holds something that is neither a tensor nor a builtin.
    """
    from safetensors.torch import save

    contents: dict[str, Any] = {
        "state_dict": model.state_dict(),
        "hyper_parameters": model.hparams.to_dict(),
        **(about or {}),
    }
    model.on_save_checkpoint(contents)
    # tensors that share memory are written each for itself
    tensors = {
        _WEIGHTS + name: value.detach().cpu().contiguous().clone()
        for name, value in contents.pop("state_dict").items()
    }
    plain = _plain(contents, tensors)
    metadata = {"format": "pt", "written_by": _OURS, _ABOUT: json.dumps(plain)}
    # `save_file` leaves it readable to its owner alone, and has errors of its own for a full disk
    path.write_bytes(save(tensors, metadata))


def read_archive(path: Path, map_location: Any = "cpu") -> dict[str, Any] | None:
    """Read what :func:`save_archive` wrote, as a checkpoint holds it; ``None`` of another program.

    Parameters
    ----------
    path
        The file.
    map_location
        Device of the tensors.

    Raises
    ------
    TrainingError
        It is damaged.
    """
    from safetensors import SafetensorError, safe_open

    device = map_location if isinstance(map_location, (str, torch.device)) else "cpu"
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            metadata = file.metadata() or {}
            if metadata.get("written_by") != _OURS:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
        contents = _restored(json.loads(metadata[_ABOUT]), tensors)
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError, TypeError) as exc:
        msg = f"{path}: the archive is damaged or incomplete ({exc}). Use another one."
        raise TrainingError(msg) from exc
    state = {
        name.removeprefix(_WEIGHTS): value
        for name, value in tensors.items()
        if name.startswith(_WEIGHTS)
    }
    return {**contents, "state_dict": state}


def _plain(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return a value as JSON has it; its tensors go among the others."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        name = f"{_OTHER}{len(tensors)}"
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: name}
    if isinstance(value, torch.dtype):
        return {_DTYPE: str(value).removeprefix("torch.")}
    if isinstance(value, list):
        return [_plain(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {_TUPLE: [_plain(item, tensors) for item in value]}
    if isinstance(value, dict):
        # keys may be numbers, or one of the names above
        if all(isinstance(key, str) and not key.startswith("__") for key in value):
            return {key: _plain(item, tensors) for key, item in value.items()}
        return {_PAIRS: [[_plain(k, tensors), _plain(v, tensors)] for k, v in value.items()]}
    msg = f"safetensors: a {type(value).__name__} of the model's settings cannot be kept without code."
    raise TrainingError(msg)


def _restored(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_restored(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _DTYPE in value:
        dtype = getattr(torch, value[_DTYPE])
        if not isinstance(dtype, torch.dtype):
            msg = f"{value[_DTYPE]} is no number format"
            raise ValueError(msg)
        return dtype
    if _TUPLE in value:
        return tuple(_restored(item, tensors) for item in value[_TUPLE])
    if _PAIRS in value:
        return {_restored(k, tensors): _restored(v, tensors) for k, v in value[_PAIRS]}
    return {key: _restored(item, tensors) for key, item in value.items()}
