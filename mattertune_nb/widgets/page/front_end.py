"""The front end that shows the notebook: whether it can show widgets, and what it must be told."""

from __future__ import annotations

import os
import sys

from mattertune_nb.config.ipython import ipython_shell, served_by_voila


def has_front_end() -> bool:
    """Return whether widgets can be shown.

    ``MATTERTUNE_NB_PLAIN=1`` says that they cannot, ``=0`` that they can. If it is not set, widgets are
    assumed if someone could type into the kernel: nbclient, which executes notebooks from scripts, says that
    nobody can. Voila uses nbclient too, but does show widgets.
    """
    plain = os.environ.get("MATTERTUNE_NB_PLAIN", "")
    if plain:
        return plain == "0"
    kernel = getattr(ipython_shell(), "kernel", None)
    if kernel is None:
        return False
    return served_by_voila() or bool(getattr(kernel, "_allow_stdin", True))


def loads_extensions() -> bool:
    """Return whether the page loads the JupyterLab extensions that widgets may need.

    VS Code and marimo do not: they show only widgets that ship their own front end, as anywidget does.
    """
    return "VSCODE_PID" not in os.environ and "marimo" not in sys.modules


def enable_colab_widgets() -> None:
    """Enable Colab's widget manager if running on Colab, which shows no custom widgets otherwise."""
    output = sys.modules.get("google.colab.output")
    if output is not None:
        output.enable_custom_widget_manager()


def in_ipython() -> bool:
    """Return whether IPython is present to display anything."""
    return ipython_shell() is not None
