"""Whether a potential is fit for use: one line per check, with a verdict and its reason."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mattertune_nb.config.errors import DataError, cause
from mattertune_nb.config.escaped import escaped, printable
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.physics.curves import Curves

if TYPE_CHECKING:
    from pathlib import Path

Status = Literal["pass", "warn", "fail", "skipped"]
_VERSION = 1
CHECK_TITLES = {
    "parity": "errors against labels",
    "distance": "errors away from the training data",
    "spread": "spread of an ensemble against errors",
    "gradient": "forces are gradients of the energy",
    "rotation": "rotated structures",
    "permutation": "reordered atoms",
    "size": "two copies give twice one",
    "walls": "close atoms repel each other",
    "volume": "energy against volume",
    "elastic": "elastic constants",
    "phonons": "phonons",
    "nve": "energy is conserved (NVE)",
    "nvt": "stable with a thermostat (NVT)",
    "rdf": "distances in NVT like those of the data",
    "relax": "relaxation of rattled structures",
    "dense": "random dense structures",
}
"""Title of each check, by name."""

_MARKS: dict[Status, str] = {"pass": "✓", "warn": "!", "fail": "✗", "skipped": "–"}
_CELL = "text-align:left;white-space:normal;padding:1px 10px 1px 0"

# readable on white and on dark grey
_COLORS: dict[Status, str] = {
    "pass": "#2ca02c",
    "warn": "#d98000",
    "fail": "#d62728",
    "skipped": "#8a8f98",
}


@dataclass(frozen=True)
class Line:
    """The result of one check.

    Attributes
    ----------
    name
        Name by which it is chosen, e.g. ``nve``.
    status
        ``pass``, ``warn``, ``fail``, or ``skipped`` if it does not apply to such structures.
    untuned, tuned, labels
        Readable numbers; empty if there are none.
    reason
        Reason for the status, a sentence.
    numbers
        Values by name, for programs; the names include the units.
    seconds
        Time taken.
    curves
        Curves worth looking at, if any.
    """

    name: str
    status: Status
    untuned: str = ""
    tuned: str = ""
    labels: str = ""
    reason: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    curves: Curves | None = None

    @property
    def title(self) -> str:
        """Title of the check."""
        return CHECK_TITLES.get(self.name, self.name)


@dataclass(frozen=True, repr=False)
class Scorecard:
    """All lines of one validation.

    Attributes
    ----------
    subject
        What was validated, e.g. the name of a run.
    lines
        In the order of the checks.
    notes
        Remarks on how it was done.
    """

    subject: str
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """The worst status of all lines."""
        found = {line.status for line in self.lines}
        order: tuple[Status, ...] = ("fail", "warn", "pass")
        return next((status for status in order if status in found), "skipped")

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        head = f"{self.subject}: {_in_words(self)}"
        rows = [
            f"{_MARKS[line.status]} {line.title}: "
            + "; ".join(filter(None, (_beside(line), line.reason)))
            for line in self.lines
        ]
        return "\n".join(map(printable, [head, *rows, *self.notes]))

    def to_html(self) -> str:
        """Return the card as a table."""
        heads = ("", "check", "untuned", "tuned", "labels", "why")
        cells = [_cells(line) for line in self.lines]
        told = [k for k, head in enumerate(heads) if not head or any(row[k] for row in cells)]
        top = "".join(f'<th scope="col" style="{_CELL}">{heads[k]}</th>' for k in told)
        rows = "".join(f"<tr>{''.join(_cell(row[k]) for k in told)}</tr>" for row in cells)
        notes = "".join(f"<p>{escaped(note)}</p>" for note in self.notes)
        return f"<table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table>{notes}"

    _repr_html_ = to_html

    def to_json(self) -> str:
        """Return the card as JSON."""
        return json.dumps({"version": _VERSION, "status": self.status, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Scorecard:
        """Read a card written by :meth:`to_json`.

        Parameters
        ----------
        text
            The JSON.

        Raises
        ------
        DataError
            The text is not a card.
        """
        from pydantic import TypeAdapter

        try:
            card = TypeAdapter(cls).validate_json(text)
            for line in card.lines:
                if line.curves is not None:
                    Curves.from_plain(asdict(line.curves))  # lines that fit together
            return card
        except ValueError as exc:
            msg = f"not a scorecard ({cause(exc)})."
            raise DataError(msg) from exc


def read_scorecard(file: Path) -> Scorecard | None:
    """Return the scorecard in a file, ``None`` if there is none that can be read."""
    try:
        return Scorecard.from_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, DataError):
        return None


def _in_words(card: Scorecard) -> str:
    words = {"fail": "failed", "warn": "with a warning", "pass": "passed", "skipped": "skipped"}
    counts = {word: sum(line.status == s for line in card.lines) for s, word in words.items()}
    return ", ".join(f"{n} {word}" for word, n in counts.items() if n) or "nothing checked"


def _beside(line: Line) -> str:
    parts = {"untuned": line.untuned, "tuned": line.tuned, "labels": line.labels}
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value)


def _cells(line: Line) -> list[str]:
    said = (
        _MARKS[line.status] if line.status == "skipped" else f"{_MARKS[line.status]} {line.status}"
    )
    mark = f'<b style="color:{_COLORS[line.status]};white-space:nowrap">{said}</b>'
    cells = [escaped(cell) for cell in (line.title, line.untuned, line.tuned, line.labels)]
    drawn = "" if line.curves is None else f"<div>{line.curves.to_svg()}</div>"
    return [mark, *cells, escaped(line.reason) + drawn]


def _cell(content: str) -> str:
    return f'<td style="{_CELL}">{unbroken(content)}</td>'
