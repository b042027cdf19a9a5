"""Views as files: pictures at print resolution, and the numbers behind them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mattertune_nb.config.errors import ConfigError, DataError
from mattertune_nb.training.figures import DPI
from mattertune_nb.training.written_file import WrittenFile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = Mapping[str, "Sequence[Any] | np.ndarray[Any, Any]"]
"""Columns of equal length by title, which includes the unit."""

FORMATS = {"png": "image/png", "svg": "image/svg+xml", "csv": "text/csv"}
"""Extensions of the files to which a view can be written, and their MIME types."""

_DPI_OF_FILES = 300


class Exportable(Protocol):
    """Anything that can be written to a file."""

    def draw(self) -> Figure | None:
        """Return the current state as a matplotlib figure; ``None`` if there is nothing yet."""

    def numbers(self) -> Table | None:
        """Return the numbers shown; ``None`` if there is nothing yet."""


def export(view: Exportable, kind: str) -> bytes:
    """Return a view as the contents of a file.

    Parameters
    ----------
    view
        The view to write.
    kind
        One of :data:`FORMATS`.

    Raises
    ------
    ConfigError
        The kind is none of these.
    DataError
        The view shows nothing yet.
    """
    if kind not in FORMATS:
        endings = ", ".join(f".{name}" for name in FORMATS)
        msg = f"a view cannot be written as '.{kind}'. Allowed: {endings}."
        raise ConfigError(msg)
    content: Any = view.numbers() if kind == "csv" else view.draw()
    if content is None:
        msg = "there is nothing to write yet: the view is still empty."
        raise DataError(msg)
    return csv_text(content).encode() if kind == "csv" else render(content, kind, _DPI_OF_FILES)


def save(view: Exportable, path: str | Path) -> Path:
    """Write a view to a file whose extension sets the format, see :func:`export`; return its path."""
    target = Path(path)
    content = export(view, target.suffix.removeprefix(".").lower())
    try:
        target.write_bytes(content)
    except OSError as exc:
        msg = f"{target}: cannot be written ({exc.strerror})."
        raise DataError(msg) from exc
    return WrittenFile(target)


def render(
    figure: Figure, kind: str = "png", dpi: int = DPI, *, transparent: bool = False
) -> bytes:
    """Return a matplotlib figure as PNG or SVG, with or without a background; reproducible to the byte."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    # text stays text in an SVG, so that other programs can find and edit it
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "mattertune_nb"}):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata, transparent=transparent)
    return buffer.getvalue()


def csv_text(table: Table) -> str:
    """Return columns as CSV; numbers keep all digits, so that reading them gives the same values."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table)
    columns = [c.tolist() if isinstance(c, np.ndarray) else c for c in table.values()]
    writer.writerows(zip(*columns, strict=True))
    return buffer.getvalue()
