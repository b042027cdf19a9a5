"""What shows the notebook: whether widgets can be seen there, and what it needs to be told."""

from __future__ import annotations

import os
import sys

from mattertune_nb.config.ipython import ipython_shell


def has_front_end() -> bool:
    """Return whether widgets can be shown.

    ``MATTERTUNE_NB_PLAIN=1`` says that they cannot, ``=0`` that they can. Not set, a kernel counts
    where someone could type into it: nbclient, which executes a notebook from a script, says that
    nobody can. Voila uses nbclient too, and does show widgets.
    """
    plain = os.environ.get("MATTERTUNE_NB_PLAIN", "")
    if plain:
        return plain == "0"
    kernel = getattr(ipython_shell(), "kernel", None)
    if kernel is None:
        return False
    served_by_voila = os.environ.get("SERVER_SOFTWARE", "").startswith("voila")
    return served_by_voila or bool(getattr(kernel, "_allow_stdin", True))


def loads_extensions() -> bool:
    """Return whether the page loads the extensions of JupyterLab that widgets may need.

    VS Code and marimo do not: they show what brings its front end along, as an anywidget does.
    """
    return "VSCODE_PID" not in os.environ and "marimo" not in sys.modules


def enable_colab_widgets() -> None:
    """Switch Colab's widget manager on, where Colab is; it shows no custom widget otherwise."""
    output = sys.modules.get("google.colab.output")
    if output is not None:
        output.enable_custom_widget_manager()


def in_ipython() -> bool:
    """Return whether there is an IPython to display anything."""
    return ipython_shell() is not None
