"""Fine-tune atomistic foundation models from a notebook, Python or the shell.

Public names are listed in ``__init__.pyi`` and loaded on first use, so that importing the package costs next
to nothing and a form can be shown before torch is loaded.
"""

from importlib.metadata import version
from typing import Any

import lazy_loader

__version__ = version("mattertune-nb")

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name in __all__ or name.startswith("_"):
        return _load(name)
    from mattertune_nb.config.errors import did_you_mean

    msg = f"mattertune_nb has no '{name}'.{did_you_mean(name, __all__)}"
    raise AttributeError(msg, name=name)
