"""Fine-tune atomistic foundation models from a notebook, Python or a shell.

Public names are listed in ``__init__.pyi`` and loaded on first use, so that importing the package costs next
to nothing and a form can be shown before torch is.
"""

from importlib.metadata import version

import lazy_loader

__version__ = version("mattertune-nb")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
