"""What a saved notebook shows in place of a live widget whose kernel is gone."""

from __future__ import annotations

LIVE = "mattertune-live"
"""CSS class of a widget that has something still beside it."""

# When JupyterLab opens a saved notebook it starts a new kernel and shows 'model not found' in place of each
# widget, whatever else is in its bundle. A second output holds what to show in this case; elsewhere, where
# what is in the bundle is already shown, it takes no space.
_STILL = """<style>
#main .jp-OutputArea:not(:has(.mattertune-live)) .mattertune-still {{ display: block }}
#main .jp-OutputArea:not(:has(.mattertune-live)) img.mattertune-still
    {{ width: auto; height: auto; max-width: 100% }}
#main .jp-OutputArea:has(.mattertune-still):not(:has(.mattertune-live)) .jupyter-widgets:not(:has(*))
    {{ display: none }}
</style>
{content}"""


def still(content: str) -> dict[str, str]:
    """Return the second output of a widget.

    Parameters
    ----------
    content
        HTML with one element of class ``mattertune-still`` that takes no space by itself; nothing for an
        empty output.
    """
    return {"text/html": _STILL.format(content=content) if content else "", "text/plain": ""}
