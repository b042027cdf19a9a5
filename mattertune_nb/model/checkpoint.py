"""Reading checkpoints: whole files only, tensors and builtins only."""

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
    """Read a file as :func:`read_checkpoint` does, or return ``None`` where it is a vendor's.

    Raises
    ------
    TrainingError
        Where a newer version of this package wrote it.
    """
    try:
        contents = _contents(path, "cpu")
    except Exception:  # what else it may be is for the vendor to say
        return None
    return _newest(contents, path) if _is_checkpoint(contents) else None


def _is_checkpoint(contents: Any) -> bool:
    # vendors' trainers are Lightning's too, and their settings have no backbone's name
    return (
        isinstance(contents, dict)
        and {"state_dict", "hyper_parameters"} <= set(contents)
        and "name" in contents["hyper_parameters"]
    )


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint that this package wrote, or an archive of safetensors, in the newest format.

    Raises
    ------
    ConfigError
        Where `map_location` is no device of this machine.
    TrainingError
        Where the file is missing, cut short, not one of ours, of a newer version, or holds objects whose
        unpickling could run code; none of that is ever run.
    """
    if not Path(path).is_file():
        msg = f"{path}: no such checkpoint. Check the path."
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
            f"{path}: refused, as it is damaged or holds objects other than tensors and builtins, "
            "which could run code when loaded. Use a checkpoint that mattertune_nb wrote."
        )
        raise TrainingError(msg) from exc
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as exc:
        msg = f"{path}: the checkpoint is damaged or cut short. Use another one."
        raise TrainingError(msg) from exc
    if not _is_checkpoint(checkpoint):
        msg = f"{path}: not a checkpoint of mattertune_nb; it holds no settings of a model."
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


def warn_of_own_class(checkpoint: dict[str, Any], path: str | Path) -> None:
    """Warn where a checkpoint that is loaded as ``FinetuneModuleBase`` was made by a user's subclass."""
    made_by = checkpoint.get("module_class", "FinetuneModuleBase")
    if made_by != "FinetuneModuleBase":
        warnings.warn(
            f"{path} was made by {made_by}, whose own steps a checkpoint does not hold. If it predicts "
            f"otherwise, load it with {made_by.split('.')[-1]}.load_from_checkpoint(…).",
            UserWarning,
            stacklevel=3,
        )
