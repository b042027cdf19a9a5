"""Findings about data, each with numerical evidence, its frames, and advice."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mattertune_nb.config.escaped import escaped, printable
from mattertune_nb.config.unbroken import unbroken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Severity = Literal["error", "warning"]

_SHOWN = 8
_COLORS: dict[str, str] = {"error": "#d32f2f", "warning": "#f9a825"}


def as_image(svg: str, told: str) -> str:
    """Return the HTML of a picture that can run no scripts, whatever file it comes from."""
    data = b64encode(svg.encode()).decode()
    return f'<img alt="{escaped(told)}" src="data:image/svg+xml;base64,{data}">'


@dataclass(frozen=True)
class Finding:
    """One problem, or possible problem.

    Parameters
    ----------
    id
        Its name, e.g. ``forces-unit``; the same in every version.
    severity
        ``error`` if training on it cannot succeed, ``warning`` if the user must judge.
    message
        What is wrong, with numerical evidence, in a sentence.
    remedy
        What to do.
    frames
        The frames concerned, numbered from 0 in the file; empty if it concerns the whole set.
    source
        The file or the name of the set.
    settings
        If settings are the remedy: their values by dotted path below the data set's config.
    part
        ``training`` or ``validation``, if both are parts of one source.
    picture
        One of the frames as SVG; empty if it concerns the whole set.
    """

    id: str
    severity: Severity
    message: str
    remedy: str
    frames: tuple[int, ...] = ()
    source: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    part: str = ""
    picture: str = field(default="", repr=False)

    def where(self) -> str:
        """Return the file and the first of the frames as text."""
        place = f"{self.source} ({self.part})" if self.part else self.source
        if not self.frames:
            return place
        shown = ", ".join(map(str, self.frames[:_SHOWN]))
        more = f" and {len(self.frames) - _SHOWN} more" if len(self.frames) > _SHOWN else ""
        word = "frame" if len(self.frames) == 1 else "frames"
        return f"{place}, {word} {shown}{more}"

    def to_html(self) -> str:
        """Return everything as a block of HTML."""
        return (
            f'<div style="border-left:4px solid {_COLORS[self.severity]};padding:2px 8px;margin:6px 0;'
            f'line-height:1.4"><b>{self.severity}</b> <code>{escaped(self.id)}</code> '
            f"{escaped(self.where())}<br>{escaped(unbroken(self.message))} "
            f"<i>{escaped(unbroken(self.remedy))}</i>"
            f"{f'<br>{as_image(self.picture, self.where())}' if self.picture else ''}</div>"
        )

    def __str__(self) -> str:
        return printable(
            f"{self.severity} [{self.id}] {self.where()}: {self.message} {self.remedy}"
        )


def energies_per_atom(evidence: str, source: str) -> Finding:
    """Return the finding of energies per atom where total energies are expected."""
    return Finding(
        "energy-per-atom",
        "error",
        evidence,
        "Declare this (units.energy: eV/atom), or give the key of the total energy (energy_key).",
        source=source,
        settings={"units.energy": "eV/atom"},
    )


@dataclass(frozen=True, repr=False)
class Report:
    """All findings in one or two data sets, errors first.

    Parameters
    ----------
    findings
        The findings.
    n_frames
        Number of frames checked.
    n_predicted
        Number of frames predicted by the untuned backbone; 0 without one.
    """

    findings: tuple[Finding, ...]
    n_frames: int
    n_predicted: int = 0

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def errors(self) -> list[Finding]:
        """Findings that must be fixed before training."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """Findings that the user must judge."""
        return [finding for finding in self.findings if finding.severity == "warning"]

    @property
    def is_sound(self) -> bool:
        """Whether there are no errors; warnings alone are acceptable."""
        return not self.errors

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(asdict(self) | {"is_sound": self.is_sound}, indent=2, ensure_ascii=False)

    def summary(self) -> str:
        """Return a sentence with the number of frames checked and of findings."""
        looked = f"{self.n_frames} frames looked at"
        if self.n_predicted:
            looked += f", {self.n_predicted} of them predicted"
        if not self.findings:
            return f"{looked}: nothing found."
        counts = [(len(self.errors), "error"), (len(self.warnings), "warning")]
        words = [f"{n} {what}{'s' if n > 1 else ''}" for n, what in counts if n]
        return f"{looked}: {', '.join(words)}."

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Return the report that :meth:`to_json` wrote as `text`.

        Raises
        ------
        ValueError
            It is none.
        """
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_json(text)

    def to_html(self) -> str:
        """Return all of it as HTML: a line that sums up, and a block for each finding."""
        blocks = "".join(finding.to_html() for finding in self.findings)
        return f'<div style="line-height:1.4">{escaped(self.summary())}{blocks}</div>'

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return "\n".join([self.summary(), *map(str, self.findings)])


def joined(reports: Sequence[Report]) -> Report:
    """Return several reports as one, errors first."""
    return Report(
        ordered([finding for report in reports for finding in report]),
        sum(report.n_frames for report in reports),
        sum(report.n_predicted for report in reports),
    )


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings with errors first, else as they were found."""
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))
