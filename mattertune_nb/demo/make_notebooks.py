"""Execute the committed notebooks again: ``python -m mattertune_nb.demo.make_notebooks [NAME ...]``.

Needs a clone. Each notebook runs from top to bottom in an empty folder and is written back with its outputs,
small and without paths of this machine, so that it can be read on a web page.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.demo.quickstart import execute_cells

if TYPE_CHECKING:
    from nbformat import NotebookNode

PACKAGE = Path(__file__).parents[1]
NOTEBOOKS = PACKAGE.parent / "notebooks"
LARGEST = 1_000_000
"""Maximum size in bytes of a notebook that web pages still show."""


def make(path: Path) -> None:
    """Execute a notebook and write it back.

    Raises
    ------
    MatterTuneError
        A cell fails, or the outputs are larger than :data:`LARGEST`; the file is then unchanged.
    """
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        execute_cells(notebook, Path(folder), path.name)
        tidy(notebook, {str(PACKAGE): "mattertune_nb", folder: "."})
    text = nbformat.writes(notebook) + "\n"
    if len(text.encode()) > LARGEST:
        msg = f"{path}: {len(text.encode()) / 1e6:.1f} MB with its outputs; show less in it."
        raise MatterTuneError(msg)
    path.write_text(text, encoding="utf-8")


def tidy(notebook: NotebookNode, names: dict[str, str]) -> None:
    """Remove from a notebook whatever belongs to one execution on one machine.

    Parameters
    ----------
    notebook
        Modified in place.
    names
        Replacements for paths of the machine.
    """
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [_without(output, names) for output in cell.outputs]


def _without(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        kept = {k: _without(v, names) for k, v in value.items() if k != "transient"}
        return type(value)(kept)
    if isinstance(value, list):
        return [_without(item, names) for item in value]
    if isinstance(value, str):
        for path, name in names.items():
            value = value.replace(path, name)
    return value


def main(names: list[str]) -> None:
    """Execute the notebooks whose names contain one of `names`, or all if none is given."""
    for path in sorted(NOTEBOOKS.glob("0*.ipynb")):
        if not names or any(name in path.name for name in names):
            make(path)
            sys.stdout.write(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
