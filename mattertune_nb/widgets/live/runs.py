"""All runs of a folder in a table: sort, filter, open, rename, annotate, delete."""

from __future__ import annotations

import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets as W  # noqa: N812  the usual alias
import traitlets

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.escaped import escaped, printable
from mattertune_nb.config.properties import ENERGY, FORCES
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.amounts import duration
from mattertune_nb.training.outcome.stages import REREFERENCED, UNTUNED
from mattertune_nb.training.outcome.verdict import TOLD, Verdict, verdict
from mattertune_nb.training.records.summary import Summary, summary_of
from mattertune_nb.training.runs.runs_folder import RunsFolder
from mattertune_nb.training.setting_labels import Called
from mattertune_nb.widgets.live.differences import differences
from mattertune_nb.widgets.live.progress import damage_in_words
from mattertune_nb.widgets.page.connection import Connection
from mattertune_nb.widgets.page.controls import Button, VBox
from mattertune_nb.widgets.page.front_end import enable_colab_widgets, has_front_end
from mattertune_nb.widgets.page.lifetime import ClosedOnRerun
from mattertune_nb.widgets.page.looking import keep_looking

if TYPE_CHECKING:
    from mattertune_nb.training.records.status import Status
    from mattertune_nb.training.runs.run import Run

_HERE = Path(__file__).parent
_NONE = "–"
_IN_WORDS = ("verdict", "settings", "note")
"""Columns told below a run's numbers; beside them, a page would break a verdict into single words."""
_SHORT, _NARROW = 16, "padding:4px 3px"
"""Letters of a word that is not broken in the table without widgets, and the space around its cells."""
_SECONDS = 2.0
"""Seconds between two checks of running runs."""
_ELSEWHERE = FORCES.with_unit("forces elsewhere")
"""Column for structures away from the target: errors, or changes if they have no labels."""
_HOLES = "new holes"
"""Column for the number of element pairs that newly attract at short range."""


class _Table(anywidget.AnyWidget):  # type: ignore[misc]
    """The rows on the page; actions requested there come back as messages."""

    _esm = _HERE / "runs_table.js"
    _css = _HERE / "runs_table.css"
    columns = traitlets.List().tag(sync=True)
    table = traitlets.List().tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)
    order = traitlets.Dict({"column": None, "falling": False, "filter": ""}).tag(sync=True)


class RunsTable(ClosedOnRerun, W.VBox):  # type: ignore[misc]
    """Runs with their state, data, best validation errors, verdict and differing settings.

    Parameters
    ----------
    folder
        Folder whose runs are shown.

    Attributes
    ----------
    rows
        One mapping per run, from column to text.
    """

    def __init__(self, folder: RunsFolder) -> None:
        enable_colab_widgets()
        self.folder = folder
        self.rows: list[dict[str, str]] = []
        self._table = _Table() if has_front_end() else None
        self._close_button = Button(
            description="Close",
            icon="times",
            tooltip="Close the dashboard; a run that trains goes on",
        )
        self._close_button.on_click(lambda _: self.close_dashboard())
        self._opened = VBox()
        self._opened.once_shown = (self._close_button,)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        super().__init__([] if self._table is None else [self._table, self._opened, Connection()])
        if self._table is not None:
            self._table.on_msg(self._on_message)
        self.refresh()
        self._watch()

    def refresh(self) -> bool:
        """Read all runs again; return whether any of them is training."""
        with self._lock:
            return self._read()

    def close_dashboard(self) -> None:
        """Take away the dashboard that was opened below the table, if there is one."""
        self._opened.children = []

    def _watch(self) -> None:
        """Follow the runs in a read-only thread: those in training, and those started later anywhere."""
        if self._table is None:
            return
        pause, active = _SECONDS, True
        seen: object = None

        def look(table: RunsTable) -> float | None:
            nonlocal pause, active, seen
            if table.closed:
                return None
            start = time.monotonic()
            try:
                stamp = table.folder.stamp()
                if active or stamp != seen:
                    active, seen = table.refresh(), stamp
            except OSError:  # a run is being renamed or deleted
                return pause
            # reading hundreds of runs takes a good part of a second
            pause = max(_SECONDS, 20 * (time.monotonic() - start))
            return pause

        self._thread = threading.Thread(
            target=keep_looking, args=(weakref.ref(self), look, pause), daemon=True
        )
        self._thread.start()

    def _read(self) -> bool:
        runs = self.folder.runs()
        found = [(run, run.status(), summary_of(run.directory)) for run in runs]
        settings = [_settings(run, summary) for run, _, summary in found]
        called = Called(settings)
        table = []
        self.rows = []
        for (run, status, summary), differing in zip(
            found, differences(settings, called), strict=True
        ):
            judged = verdict(summary)
            told = _NONE if status.is_active else str(judged) or _NONE
            row = {"run": run.name, "state": status.state, "verdict": told}
            said = {n: f"{called.label(n)} = {called.value(n, v)}" for n, v in differing.items()}
            row |= _row(run, status, summary, judged) | {
                "state": status.state + damage_in_words(summary.damaged),
                "note": self.folder.note(run.name),
                "settings": ", ".join(said.values()) or _NONE,
            }
            self.rows.append(row)
            tone = "" if status.is_active else "worse" if judged.worse else ""
            tone = tone or ("better" if judged.is_gain and not status.is_active else "")
            keys = row | _sort_keys(summary, judged)
            table.append(
                {
                    "run": run.name,
                    "note": row["note"],
                    "settings": [[text, name] for name, text in said.items()],
                    "active": status.is_active,
                    "tone": tone,
                    "cells": row,
                    "keys": keys,
                }
            )
        if self._table is not None:
            self._table.columns = list(self.rows[0]) if self.rows else []
            self._table.table = table
            self._table.message = "" if self.rows else self.folder.nothing_here()
        return any(status.is_active for _, status, _ in found)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        rows = [printable("  ".join(row.values())) for row in self.rows]
        return "\n".join(rows) or printable(self.folder.nothing_here())

    def _repr_html_(self) -> str:
        if not self.rows:
            return escaped(self.folder.nothing_here())
        return _html(self.rows)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        words = {"text/plain": repr(self), "text/html": self._repr_html_()}
        if self._table is None:
            return words
        return dict(super()._repr_mimebundle_(**kwargs)) | words

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        try:
            self._act(str(content["action"]), str(content["run"]), str(content.get("text", "")))
        except (MatterTuneError, OSError, KeyError, TypeError) as exc:
            self.refresh()
            self._table.message = str(exc)  # type: ignore[union-attr]
        else:
            self.refresh()

    def _act(self, action: str, name: str, text: str) -> None:
        """Do what a button of a row asks for; deletion was confirmed twice on the page."""
        if action == "open":
            view = self.folder.run(name).dashboard()
            self._opened.children = [self._close_button, view]
            view.shown()
        elif action == "rename":
            self.folder.rename(name, text)
        elif action == "note":
            self.folder.set_note(name, text)
        elif action == "delete":
            self.folder.delete(name)


def runs(root: str | Path = "runs") -> RunsTable:
    """Return a table of all runs below `root`, the newest first."""
    return RunsTable(RunsFolder(root))


def _row(run: Run, status: Status, summary: Summary, judged: Verdict) -> dict[str, str]:
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(summary.started))
    frames = f"{summary.n_train} + {summary.n_validation} frames"
    source = ", ".join(Path(source).name for source in summary.sources)
    row = {
        "run": run.name,
        "state": status.state,
        "epochs": str(summary.n_epochs),
        "started": started if summary.started else _NONE,
        "duration": duration(summary.seconds) if summary.seconds else _NONE,
        "data": (f"{source}, {frames}" if summary.n_train else source) or _NONE,
    }
    changes = {change.name: change for change in judged.changes}
    for name, unit in ((prop.title, prop.shown_unit) for prop in TOLD.values()):
        change = changes.get(name)
        before = None if change is None else change.before
        row[_before(name, unit)] = _NONE if before is None else f"{before:.1f}"
        row[f"{name} ({unit})"] = _NONE if change is None else f"{change.after:.1f}"
    found = judged.elsewhere
    n_holes = _new_holes(summary)
    return row | {
        _ELSEWHERE: _NONE if found is None else f"{found.forces:.1f}",
        _HOLES: _NONE if n_holes is None else str(n_holes),
    }


def _html(rows: list[dict[str, str]]) -> str:
    """Return the table for a page without widgets, as the widget shows it."""
    told = [
        name
        for name in rows[0]
        if name not in _IN_WORDS and any(row[name] not in ("", _NONE) for row in rows)
    ]
    # a page that does not trust the notebook takes styles of elements alone
    head = "".join(f"<th style='{_NARROW}'>{_whole(name)}</th>" for name in told)
    body = ""
    for row in rows:
        cells = "".join(f"<td style='{_NARROW}'>{_whole(row[name])}</td>" for name in told)
        words = [
            escaped(unbroken(row[name] if name == "verdict" else f"{name}: {row[name]}"))
            for name in _IN_WORDS
            if row[name] not in ("", _NONE)
        ]
        below = f"<td colspan='{len(told)}' style='text-align:left'>{'<br>'.join(words)}</td>"
        body += f"<tbody><tr>{cells}</tr><tr>{below}</tr></tbody>"
    return f"<table><thead><tr>{head}</tr></thead>{body}</table>"


def _whole(text: str) -> str:
    """Return the HTML of a cell that breaks between words; only a long word, as a name may be, at hyphens."""
    return " ".join(
        f"<span style='white-space:nowrap'>{escaped(word)}</span>"
        if len(word) <= _SHORT
        else escaped(word)
        for word in unbroken(text).split(" ")
    )


def _new_holes(summary: Summary) -> int | None:
    """Return the number of element pairs that newly attract at short range."""
    return None if summary.holes is None else sum(bool(hole["is_new"]) for hole in summary.holes)


def _before(name: str, unit: str) -> str:
    """Return the column of an error before training; energies are re-referenced."""
    return f"{REREFERENCED if name == ENERGY.title else f'{name}, {UNTUNED}'} ({unit})"


def _sort_keys(summary: Summary, judged: Verdict) -> dict[str, Any]:
    """Return the values by which columns of numbers are sorted."""
    keys: dict[str, Any] = {
        "epochs": summary.n_epochs,
        "started": summary.started,
        "duration": summary.seconds,
    }
    for name, unit in ((prop.title, prop.shown_unit) for prop in TOLD.values()):
        keys[_before(name, unit)] = keys[f"{name} ({unit})"] = None
    for change in judged.changes:
        keys[_before(change.name, change.unit)] = change.before
        keys[f"{change.name} ({change.unit})"] = change.after
    keys[_HOLES] = _new_holes(summary)
    keys[_ELSEWHERE] = None if judged.elsewhere is None else judged.elsewhere.forces
    return keys


def _settings(run: Run, summary: Summary) -> dict[str, Any]:
    if summary.settings:
        return summary.settings
    try:
        run.config()
    except MatterTuneError as exc:
        return {"config": str(exc)}
    return {}
