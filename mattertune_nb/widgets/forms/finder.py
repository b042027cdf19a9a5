"""Buttons that find a learning rate or the largest batch before training, and use it."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.training.estimate.finders import Kind, ask
from mattertune_nb.widgets.page.controls import HTML, Button, HBox, VBox
from mattertune_nb.widgets.page.style import error_html, note_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.estimate.found import Found
    from mattertune_nb.training.estimate.process import AskedProcess

_TITLES: dict[Kind, str] = {"lr": "Find a learning rate", "batch": "Find the largest batch"}


class Finder:
    """Searches for a value of the form's config in a separate process, so that the kernel stays free.

    Parameters
    ----------
    config
        Returns the current config.
    use
        Called with a setting and the value that the user wants to use.
    """

    def __init__(
        self, config: Callable[[], MatterTunerConfig], use: Callable[[str, float], None]
    ) -> None:
        self._config, self._use = config, use
        self._process: AskedProcess | None = None
        self._thread: threading.Thread | None = None
        self.found: Found | None = None
        self.buttons = {
            kind: Button(description=title, icon="search", css="mt-add")
            for kind, title in _TITLES.items()
        }
        for kind, button in self.buttons.items():
            button.on_click(lambda _, kind=kind: self.press(kind))
        self._shown, self._remedy = HTML(), VBox()
        line = HBox(list(self.buttons.values()), css="mt-line")
        self.widget = VBox([line, self._shown, self._remedy])

    @property
    def text(self) -> str:
        """The text shown, as HTML."""
        return str(self._shown.value)

    @property
    def use_button(self) -> Button | None:
        """The button that uses the value found, if there is one."""
        return next(iter(self._remedy.children), None)

    def press(self, kind: Kind) -> None:
        """Start the search, or stop it if it is running.

        Parameters
        ----------
        kind
            What to search for.
        """
        if self._thread is not None and self._thread.is_alive():
            self.cancel()
            return
        self.found, self._remedy.children = None, []
        try:
            config = self._config()
        except MatterTuneError as exc:
            self._shown.value = error_html(str(exc))
            return
        self._shown.value = note_html("searching, some tens of steps …")
        self.buttons[kind].description = "Cancel"
        self._thread = threading.Thread(target=self._look, args=(config, kind), daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End the search."""
        if self._process is not None:
            self._process.cancel()

    close = cancel

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the search has ended, for at most `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _look(self, config: MatterTunerConfig, kind: Kind) -> None:
        try:
            found = ask(config, kind, partial(setattr, self, "_process"))
        except MatterTuneError as exc:
            self._shown.value = error_html(str(exc))
        else:
            self._show(found)
        finally:
            self.buttons[kind].description = _TITLES[kind]

    def _show(self, found: Found) -> None:
        self.found, self._shown.value = found, found.to_html()
        if found.suggestion is None:
            return
        button = Button(description=f"Use {found.suggestion:g}", icon="check", css="mt-add")

        def use(_: object) -> None:
            assert found.suggestion is not None
            self._use(found.setting, found.suggestion)
            self._remedy.children = []

        button.on_click(use)
        self._remedy.children = [button]
