"""A model in one safetensors file: tensors, and everything else as JSON; reading it runs no code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from mattertune_nb.config.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUFFIX = ".safetensors"
_OURS, _WEIGHTS, _OTHER = "mattertune_nb", "state_dict.", "other."
_ABOUT = "about"
_TENSOR, _PAIRS, _TUPLE, _DTYPE = "__tensor__", "__pairs__", "__tuple__", "__dtype__"


def save_archive(contents: Mapping[str, Any], path: Path) -> None:
    """Write the contents of a checkpoint to a file.

    Parameters
    ----------
    contents
        The weights, as ``state_dict``, and anything else, as builtins and tensors.
    path
        The file.

    Raises
    ------
    OSError
        The file cannot be written.
    TrainingError
        The contents hold something that is neither a tensor nor a builtin.
    """
    from safetensors.torch import save

    contents = dict(contents)
    # tensors that share memory are written separately
    tensors = {
        _WEIGHTS + name: value.detach().cpu().contiguous().clone()
        for name, value in contents.pop("state_dict").items()
    }
    plain = _plain(contents, tensors)
    metadata = {"format": "pt", "written_by": _OURS, _ABOUT: json.dumps(plain)}
    # `save_file` makes the file readable only by its owner, and raises its own errors on a full disk
    path.write_bytes(save(tensors, metadata))


def read_archive(path: Path, map_location: Any = "cpu") -> dict[str, Any] | None:
    """Read an archive of :func:`save_archive` as checkpoint contents; ``None`` if another program wrote it.

    Parameters
    ----------
    path
        The file.
    map_location
        Device of the tensors.

    Raises
    ------
    TrainingError
        The file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    device = map_location if isinstance(map_location, (str, torch.device)) else "cpu"
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            metadata = file.metadata() or {}
            if metadata.get("written_by") != _OURS:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
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
    """Return a value in a form JSON can hold; its tensors are added to `tensors`."""
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
