"""The notebooks, for users of the installed package and of a clone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import MatterTuneError

if TYPE_CHECKING:
    from nbformat import NotebookNode

NAME = "01_quickstart.ipynb"

_PACKAGE = Path(__file__).parents[1]


def copy_quickstart(folder: Path) -> Path:
    """Copy the notebooks to a folder and return the path of the quickstart.

    Existing notebooks are kept. A copy is signed, because JupyterLab loses the widgets of an untrusted
    notebook when the page is first reloaded.

    Raises
    ------
    MatterTuneError
        The folder cannot be written.
    """
    # a wheel carries the notebooks inside the package; a clone has them beside the package
    places = _PACKAGE / "notebooks", _PACKAGE.parent / "notebooks"
    source = next(place for place in places if (place / NAME).is_file())
    for notebook in source.glob("0*.ipynb"):
        target = folder / notebook.name
        if target.exists():
            continue
        try:
            shutil.copyfile(notebook, target)
        except OSError as exc:
            msg = f"{target} cannot be written ({exc.strerror}). Change to a folder that is yours."
            raise MatterTuneError(msg) from exc
        _sign(target)
    return folder / NAME


def _sign(path: Path) -> None:
    """Make Jupyter trust a notebook's outputs, if its signature folder can be written."""
    import nbformat
    from nbformat.sign import NotebookNotary

    with suppress(OSError, sqlite3.Error):
        notary = NotebookNotary()
        notary.sign(nbformat.read(path, as_version=4))
        notary.store.close()


def execute(path: Path) -> Path:
    """Run a notebook from top to bottom, save it with its outputs, and write an HTML page beside it.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    MatterTuneError
        A cell fails; the notebook is saved up to there.
    """
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(path, as_version=4)
    try:
        execute_cells(notebook, path.parent, str(path))
    finally:
        nbformat.write(notebook, path)
        _sign(path)
    page, _ = HTMLExporter(embed_images=True).from_notebook_node(notebook)
    target = path.with_suffix(".html")
    target.write_text(page, encoding="utf-8")
    return target


def execute_cells(notebook: NotebookNode, folder: Path, name: str) -> None:
    """Run all cells of a notebook in a folder; outputs are added to it as far as it gets.

    Parameters
    ----------
    notebook
        Modified in place.
    folder
        Working directory of its kernel.
    name
        Name of the notebook in errors.

    Raises
    ------
    MatterTuneError
        A cell fails.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from traitlets.config import Config

    with tempfile.TemporaryDirectory() as sockets:
        # over TCP other users of the machine could listen in, and the kernel warns about it
        private = {"transport": "ipc", "ip": str(Path(sockets) / "kernel")}
        client = NotebookClient(
            notebook,
            timeout=None,
            startup_timeout=300,
            config=Config(KernelManager={} if os.name == "nt" else private),
            # the widget state is useless without a kernel, and large; pictures are kept
            store_widget_state=False,
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        )
        try:
            client.execute()
        except CellExecutionError as exc:
            msg = f"{name}: a cell failed with {exc.ename}: {exc.evalue}"
            raise MatterTuneError(msg) from exc


def root_options() -> tuple[list[str], str]:
    """Return JupyterLab's options for the root user, as in most containers, and an explanation."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return [], ""
    note = (
        "You are root, as in most containers: JupyterLab runs with --allow-root. It listens on this "
        "machine alone and asks for its token.\n"
    )
    return ["--allow-root"], note
