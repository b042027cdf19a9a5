"""Text on the page that links to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.escaped import escaped

if TYPE_CHECKING:
    from mattertune_nb.training.written_file import WrittenFile


class LinkedText(W.Output):  # type: ignore[misc]
    """Text with links to files: JupyterLab resolves those of an output, but not those of ``HTML``."""

    def say(self, page: str) -> None:
        """Show HTML; nothing for an empty text."""
        data = {"text/html": page, "text/plain": ""}
        shown = {"output_type": "display_data", "data": data, "metadata": {}}
        self.outputs = (shown,) if page else ()

    def say_written(self, words: str, file: WrittenFile) -> None:
        """Show words followed by a file, as a link if the notebook can reach it."""
        link = file._repr_html_() or escaped(str(file))
        self.say(f'<div role="status">{escaped(words)} {link}</div>')
