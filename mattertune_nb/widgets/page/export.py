"""Views as files: pictures at the resolution of a paper, and the numbers behind them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mattertune_nb.config.errors import ConfigError, DataError
from mattertune_nb.training.figures import DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = Mapping[str, "Sequence[Any] | np.ndarray[Any, Any]"]
"""Columns of one length by their titles, which hold the units."""

FORMATS = {"png": "image/png", "svg": "image/svg+xml", "csv": "text/csv"}
"""Endings of the files that a view can be written to, and their MIME types."""

_DPI_OF_FILES = 300


class Exportable(Protocol):
    """What can be written to a file."""

    def draw(self) -> Figure | None:
        """Return the present state as a matplotlib figure; ``None`` where there is nothing yet."""

    def numbers(self) -> Table | None:
        """Return the numbers that are shown; ``None`` where there is nothing yet."""


def export(view: Exportable, kind: str) -> bytes:
    """Return a view as the content of a file.

    Parameters
    ----------
    view
        What is written.
    kind
        One of :data:`FORMATS`.

    Raises
    ------
    ConfigError
        Where the kind is none of these.
    DataError
        Where the view shows nothing yet.
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
    """Write a view to a file whose ending says what is written, see :func:`export`; return its path."""
    target = Path(path)
    content = export(view, target.suffix.removeprefix(".").lower())
    try:
        target.write_bytes(content)
    except OSError as exc:
        msg = f"{target}: cannot be written ({exc.strerror})."
        raise DataError(msg) from exc
    return target


def render(
    figure: Figure, kind: str = "png", dpi: int = DPI, *, transparent: bool = False
) -> bytes:
    """Return a matplotlib figure as PNG or SVG, with or without paper; the same one gives the same bytes."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    # words stay words in an SVG, which other programs then find and edit
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "mattertune_nb"}):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata, transparent=transparent)
    return buffer.getvalue()


def csv_text(table: Table) -> str:
    """Return columns as CSV; numbers have all digits, so that reading them gives the same again."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table)
    columns = [c.tolist() if isinstance(c, np.ndarray) else c for c in table.values()]
    writer.writerows(zip(*columns, strict=True))
    return buffer.getvalue()
