"""The documentation: ``sphinx-build -W notebooks build/docs``, without a network."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generated import GENERATED

project = "mattertune_nb"
author = "The mattertune_nb authors"
project_copyright = author
release = importlib.metadata.version("mattertune-nb")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["runs", "scratch", "**.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"mattertune_nb {release}"

nb_execution_mode = "off"  # they are committed with their outputs, and tests execute them
myst_heading_anchors = 3
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False  # a hook of Lightning is explained by Lightning
python_maximum_signature_line_length = 88


def fill(app, name, content):
    """Put what is made from the code where a page asks for it."""
    for mark, make in GENERATED.items():
        comment = f"<!-- {mark} -->"
        if comment in content[0]:
            content[0] = content[0].replace(comment, make())


def shorten(app, what, name, obj, options, signature, returns):
    """Leave out the fields of a config, which the page of settings explains."""
    if what == "class" and hasattr(obj, "model_fields"):
        return "(…)", None
    return None


def setup(app):
    """Connect both to Sphinx."""
    app.connect("source-read", fill)
    app.connect("autodoc-process-signature", shorten)
