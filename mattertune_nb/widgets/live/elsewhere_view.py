"""Effects of a run on structures away from its target: errors or changes by kind of structure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.properties import ENERGY, FORCES
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.outcome.stages import short
from mattertune_nb.training.records.foreign import read_foreign

if TYPE_CHECKING:
    from mattertune_nb.config.properties import Property
    from mattertune_nb.training.records.foreign import ForeignRecord
    from mattertune_nb.training.runs.run import Run


class ElsewhereView:
    """A table that is updated after each measurement.

    Parameters
    ----------
    run
        The run whose ``foreign.json`` is read.
    """

    title = "Elsewhere"

    def __init__(self, run: Run) -> None:
        self._run = run
        self.widget = W.HTML()
        self.clear()

    @property
    def text(self) -> str:
        """The text shown, as HTML."""
        return str(self.widget.value)

    def clear(self) -> None:
        """Show nothing until :meth:`refresh` finds something."""
        self._seen: float | None = None
        self.widget.value = "Nothing has been measured away from the target yet."

    def refresh(self) -> None:
        """Update the table if something was measured since."""
        file = self._run.directory.foreign_file
        if not file.is_file() or file.stat().st_mtime == self._seen:
            return
        record, self._seen = read_foreign(self._run.directory), file.stat().st_mtime
        if record is not None:
            self.widget.value = foreign_html(record)


def foreign_html(record: ForeignRecord) -> str:
    """Return the errors or changes for each kind of structure as a table."""
    if record.has_labels:
        untuned = ", ".join(_in_words(record.untuned, prop) for prop in (FORCES, ENERGY))
        said = (
            f"Mean absolute errors on {escaped(Path(record.source).name)}, which is not used for "
            f"training; those of the untuned model are {untuned}."
        )
    else:
        where = escaped(Path(record.source).name) if record.source else "structures"
        said = (
            f"Difference between the tuned and the untuned model on {where} away from the target: what "
            f"it has forgotten, except for the target's own elements, where it may be what was learnt."
        )
    said = unbroken(f"{said} Energies are compared after the best shift per element.")
    if record.tuned is None:
        return f"<p>{said} Nothing has been measured yet.</p>"
    weights = (
        "the best weights" if record.is_best else f"the weights after epoch {record.epoch + 1}"
    )
    others = "all others" if record.own else "all"
    rows = [(others, record.n_structures, record.tuned)]
    rows += [(k, record.counts.get(k, 0), part) for k, part in (record.by_kind or {}).items()]
    right = "style='text-align:right;padding-left:14px'"
    cells = "".join(
        f"<tr><td style='text-align:left'>{escaped(kind)}</td><td {right}>{n}</td>"
        f"<td {right}>{_number(part, FORCES):.1f}</td><td {right}>{_number(part, ENERGY):.1f}</td></tr>"
        for kind, n, part in rows
    )
    heads = [f"{prop.name} ({prop.shown_unit})" for prop in (FORCES, ENERGY)]
    head = "".join(f"<th {right}>{title}</th>" for title in ("structures", *heads))
    return (
        f"<p>{said} Measured with {weights}.</p><table><thead><tr><th style='text-align:left'>kind</th>"
        f"{head}</tr></thead><tbody>{cells}</tbody></table>"
    )


def _number(errors: dict[str, float], prop: Property) -> float:
    return prop.factor * errors[prop.name]


def _in_words(errors: dict[str, float], prop: Property) -> str:
    return f"{short(_number(errors, prop))} {prop.shown_unit}"
