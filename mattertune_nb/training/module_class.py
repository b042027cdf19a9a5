"""A user's own module class, by the name under which other processes import it."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import ConfigError, cause
from mattertune_nb.model.module import FinetuneModuleBase

if TYPE_CHECKING:
    from mattertune_nb.training.config import MatterTunerConfig


def import_module_class(name: str | None) -> type[FinetuneModuleBase]:
    """Return the class that ``run.module_class`` names, :class:`FinetuneModuleBase` for ``None``.

    Raises
    ------
    ConfigError
        It cannot be imported, or is not such a class.
    """
    if name is None:
        return FinetuneModuleBase
    try:
        module_class = pkgutil.resolve_name(name)
    except Exception as exc:  # importing a user's file may raise anything
        msg = f"run.module_class: '{name}' cannot be imported ({cause(exc)})."
        raise ConfigError(msg) from exc
    if not (isinstance(module_class, type) and issubclass(module_class, FinetuneModuleBase)):
        msg = f"run.module_class: '{name}' is not a subclass of FinetuneModuleBase."
        raise ConfigError(msg)
    return module_class


def importable_name(module_class: type[FinetuneModuleBase]) -> str | None:
    """Return the name of a user's class, ``None`` if no other process could import it."""
    name = f"{module_class.__module__}:{module_class.__qualname__}"
    return None if module_class.__module__ == "__main__" or "<locals>" in name else name


def with_module_class(
    config: MatterTunerConfig, module_class: type[FinetuneModuleBase]
) -> MatterTunerConfig:
    """Name an importable subclass in the config, so that another process can resume the run."""
    name = importable_name(module_class)
    if module_class is FinetuneModuleBase or name is None:
        return config
    return config.model_copy(update={"run": config.run.model_copy(update={"module_class": name})})
