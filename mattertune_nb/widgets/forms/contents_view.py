"""The contents of a data file, as people read them."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.config.unbroken import grouped
from mattertune_nb.data.contents import Contents, read_contents
from mattertune_nb.widgets.page.controls import HTML, Button, Dropdown, VBox
from mattertune_nb.widgets.page.style import error_html, note_html

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from mattertune_nb.data.labels.choice import Choice


class SourceView:
    """What is known about one data file, below its name.

    Parameters
    ----------
    offers
        Optional uses of the file: the text of a button, and the function it calls.
    name_label
        Called with a setting and a name when the user chooses which value is a label, or ``None`` for none.

    Attributes
    ----------
    buttons
        Buttons of the offers made.
    questions
        The menus from which the user chooses a label, by the setting that names it.
    """

    def __init__(
        self,
        offers: Mapping[str, tuple[str, Callable[[], None]]],
        name_label: Callable[[str, str | None], None],
    ) -> None:
        self._offers = offers
        self._name_label = name_label
        self._text = HTML()
        self.buttons: dict[str, Button] = {}
        self.questions: dict[str, Dropdown] = {}
        self._chosen: dict[str, str] = {}
        self._is_unread = False
        self._missing: list[str] = []
        self._undecided: set[str] = set()
        self.widget = VBox([self._text], css="mt-contents")

    @property
    def text(self) -> str:
        """The text shown."""
        return str(self._text.value)

    @property
    def is_refused(self) -> bool:
        """Whether no run starts with the file: it cannot be read, or a label to learn is not chosen."""
        return self._is_unread or bool(self._missing)

    @property
    def refusal(self) -> str:
        """What to choose before a run can start, in words; empty if nothing."""
        return f"choose on the Data tab {' and '.join(self._missing)}." if self._missing else ""

    def say(self, note: str, *, error: bool = False) -> None:
        """Show the line that is available immediately."""
        self._is_unread = error
        self._text.value = error_html(note, css="mt-alert") if error else note_html(note)
        self.offer([])

    def ask(self, asked: Sequence[tuple[Choice, str | None]], learned: Container[str]) -> None:
        """Let the user choose among several values that may be a label.

        Parameters
        ----------
        asked
            The candidates, and the name chosen so far, which can be changed as well.
        learned
            The labels without which no run can start.
        """
        menus: dict[str, tuple[Choice, list[tuple[str, str]]]] = {}
        self._missing, self._chosen = [], {}
        self._undecided = {choice.label for choice, chosen in asked if chosen is None}
        for choice, chosen in asked:
            prop = PROPERTIES[choice.label]
            if chosen not in (None, *_keys(choice)):
                continue  # named in the config: nobody has to choose
            is_learned = choice.label in learned
            menus[prop.key_field] = choice, _options(choice, is_learned)
            self._chosen[prop.key_field] = chosen or ""
            if is_learned and chosen is None:
                self._missing.append(f"which {prop.verb} the {prop.title}")
        if {field: list(menu.options) for field, menu in self.questions.items()} == {
            field: options for field, (_, options) in menus.items()
        }:
            for field, menu in self.questions.items():
                menu.value = self._chosen[field]
            return
        self.questions = {field: self._question(field, *of) for field, of in menus.items()}
        self.offer([])

    def _question(self, field: str, choice: Choice, options: list[tuple[str, str]]) -> Dropdown:
        prop = PROPERTIES[choice.label]
        dropdown = Dropdown(
            description=f"Which {prop.verb} the {prop.title}?",
            options=options,
            value=self._chosen[field],
            css="mt-ask",
        )
        dropdown.observe(partial(self._on_choice, field), "value")
        return dropdown

    def _on_choice(self, field: str, change: Any) -> None:
        if change["new"] != self._chosen[field]:
            self._name_label(field, change["new"] or None)

    def show(self, contents: Contents | str) -> None:
        """Show the contents of the file, or why it cannot be read."""
        self._is_unread = isinstance(contents, str)
        self._text.value = (
            error_html(contents, css="mt-alert")
            if isinstance(contents, str)
            else contents_html(contents, self._undecided)
        )

    def offer(self, names: Sequence[str]) -> None:
        """Show the buttons of these offers, and hide the others."""
        for name in names:
            if name not in self.buttons:
                text, act = self._offers[name]
                self.buttons[name] = Button(description=text, icon="plus", css="mt-add")
                self.buttons[name].on_click(lambda _, act=act: act())
        shown = [*self.questions.values(), self._text, *(self.buttons[name] for name in names)]
        if list(self.widget.children) != shown:
            self.widget.children = shown


def _options(choice: Choice, is_learned: bool) -> list[tuple[str, str]]:
    """Return the text and the name of each value that may be a label, which the run needs or does not."""
    unit = PROPERTIES[choice.label].unit
    told = {c.key: c.told(choice.n_frames, unit) for c in choice.open}
    options = [
        (f"{key}: {told.get(key, 'the first that a frame has')}", key) for key in _keys(choice)
    ]
    without = "the run cannot start" if is_learned else f"the run does not need the {choice.label}"
    return [(f"none chosen: {without}", ""), *options]


def _keys(choice: Choice) -> list[str]:
    return [c.key for c in choice.open] or ["|".join(c.key for c in choice.parts)]


class ContentsReader:
    """Reads data sets in a thread; only the latest request counts.

    Parameters
    ----------
    found
        Called in the thread with a field's name and what is known about its data set: its contents, or why it
        cannot be read.
    """

    def __init__(self, found: Callable[[str, Contents | str], None]) -> None:
        self._found = found
        self._lock = threading.Lock()
        self._asked: dict[str, Any] = {}
        self._known: dict[str, tuple[Any, Contents | str]] = {}
        self._round = 0

    def ask(self, datasets: Mapping[str, tuple[Any, Any]], delay: float) -> None:
        """Read data sets that differ from the previous ones.

        Parameters
        ----------
        datasets
            For each field, a key that identifies its data set, and its config.
        delay
            Seconds to wait first, because another edit may follow.
        """
        asked = {name: identity for name, (identity, _) in datasets.items()}
        with self._lock:
            if asked == self._asked:
                return
            self._asked = asked
            self._round += 1
            args = dict(datasets), self._round, delay
        threading.Thread(
            target=self._read, args=args, daemon=True, name="mattertune_nb data"
        ).start()

    def known(self, name: str, identity: Any) -> Contents | str | None:
        """Return what was found out about a data set."""
        last, found = self._known.get(name, (None, None))
        return found if last == identity else None

    def close(self) -> None:
        """Stop reading."""
        self._round += 1

    def _read(self, datasets: dict[str, tuple[Any, Any]], own: int, delay: float) -> None:
        threading.Event().wait(delay)
        for name, (identity, config) in datasets.items():
            if self.known(name, identity) is not None:
                continue
            try:
                for contents in read_contents(config.create_dataset()):
                    if self._round != own:
                        return
                    if contents.is_complete:
                        self._known[name] = identity, contents
                    self._found(name, contents)
            except (MatterTuneError, OSError) as exc:
                if self._round != own:
                    return
                self._known[name] = identity, str(exc)
                self._found(name, str(exc))


def contents_html(contents: Contents, undecided: Container[str] = ()) -> str:
    """Return the contents of a data set in a few lines, with the labels whose name is not chosen yet."""
    least, most = contents.n_atoms
    atoms = f"{least}" if least == most else f"{least}–{most}"
    facts = [
        f"<b>{grouped(contents.n_frames)}</b> frames",
        f"elements <b>{', '.join(contents.elements)}</b>",
        f"<b>{atoms}</b> atoms per frame",
    ]
    rows = [_label_html(contents, label, undecided) for label in contents.labels]
    read = (
        ""
        if contents.is_complete
        else note_html(
            f"Read {contents.n_read} of {contents.n_frames} frames, evenly spread over the file."
        )
    )
    return (
        f'<div class="mt-facts">{" · ".join(facts)}</div>'
        f'<div class="mt-facts">{" &nbsp; ".join(rows)}</div>{read}'
        f"{''.join(note_html(f'{note}.') for note in contents.notes)}"
    )


def _label_html(contents: Contents, label: str, undecided: Container[str]) -> str:
    n, key = contents.labels[label], escaped(repr(contents.keys[label]))
    if not n:
        words = f"{label}: not chosen" if label in undecided else f"no {label}"
        return f'<span class="mt-none">{words}</span>'
    share = "all frames" if n == contents.n_read else f"{n} of {contents.n_read} frames"
    unit = f'<span class="mt-unit">({PROPERTIES[label].unit})</span>'
    return f"<b>{label}</b> {unit} under {key}: {share}"
