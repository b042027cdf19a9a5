"""Checkpoints hold tensors and builtins only, and are read only if they are whole."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from mattertune_nb.config.errors import TrainingError
from mattertune_nb.model.archive import SUFFIX, read_archive
from mattertune_nb.model.devices import require_device
from mattertune_nb.model.formats import upgrade


def read_if_ours(path: Path) -> dict[str, Any] | None:
    """Read a file as :func:`read_checkpoint` does, or return ``None`` if it is a vendor's.

    Raises
    ------
    TrainingError
        A newer version of this package wrote it.
    """
    try:
        contents = _contents(path, "cpu")
    except Exception:  # left for the vendor's own code to identify
        return None
    return _newest(contents, path) if _is_checkpoint(contents) else None


def _is_checkpoint(contents: Any) -> bool:
    # vendors' trainers use Lightning too, but their settings do not name a backbone of ours
    return (
        isinstance(contents, dict)
        and {"state_dict", "hyper_parameters"} <= set(contents)
        and "name" in contents["hyper_parameters"]
    )


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint written by this package, or a safetensors archive, in the newest format.

    Raises
    ------
    ConfigError
        `map_location` is not a device of this machine.
    TrainingError
        The file is missing, incomplete, not one of ours, written by a newer version, or contains objects that
        could run code when unpickled; such code is never run.
    """
    if not Path(path).is_file():
        msg = f"{path}: no such run or checkpoint. Check the path."
        raise TrainingError(msg)
    if isinstance(map_location, (str, torch.device)):
        require_device(map_location)
    elif isinstance(map_location, dict):
        for device in map_location.values():
            require_device(device)
    try:
        checkpoint = _contents(Path(path), map_location)
    except pickle.UnpicklingError as exc:
        msg = (
            f"{path}: refused: it is damaged or contains objects other than tensors and builtins, "
            "which could run code when loaded. Use a checkpoint that mattertune_nb wrote."
        )
        raise TrainingError(msg) from exc
    except Exception as exc:  # of damaged bytes, torch makes errors of any kind
        msg = f"{path}: the checkpoint is damaged or incomplete. Use another one."
        raise TrainingError(msg) from exc
    if not _is_checkpoint(checkpoint):
        msg = f"{path}: not a mattertune_nb checkpoint: it contains no model settings."
        raise TrainingError(msg)
    return _newest(checkpoint, path)


def _newest(checkpoint: dict[str, Any], path: str | Path) -> dict[str, Any]:
    checkpoint = dict(checkpoint)
    upgrade(checkpoint, path)
    return checkpoint


def _contents(path: Path, map_location: Any) -> Any:
    if path.suffix == SUFFIX:
        return read_archive(path, map_location)
    return torch.load(path, map_location=map_location, weights_only=True)


def without_functions(state: Any) -> Any:
    """Return nested dicts and lists without functions, with which a checkpoint would not be read again.

    Torch before 2.7 has one in the state of ``SWALR``, which Lightning's weight averaging uses.
    """
    if isinstance(state, dict):
        return {k: without_functions(v) for k, v in state.items() if not callable(v)}
    if isinstance(state, list):
        return [without_functions(v) for v in state if not callable(v)]
    return state


def warn_of_own_class(checkpoint: dict[str, Any], path: str | Path) -> None:
    """Warn if a checkpoint loaded as ``FinetuneModuleBase`` was made by a user's subclass."""
    made_by = checkpoint.get("module_class", "FinetuneModuleBase")
    if made_by != "FinetuneModuleBase":
        warnings.warn(
            f"{path} was made by {made_by}, whose own code is not stored in a checkpoint. If it predicts "
            f"differently, load it with {made_by.split('.')[-1]}.load_from_checkpoint(…).",
            UserWarning,
            stacklevel=3,
        )
