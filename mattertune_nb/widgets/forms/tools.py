"""Above the tabs: the goal of the run, and a search over all settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.widgets.forms.presets import (
    GOALS,
    MISSING,
    NO_GOAL,
    apply_settings,
    describe,
    find,
)
from mattertune_nb.widgets.page.controls import HTML, Dropdown, HBox, Text, VBox, shared
from mattertune_nb.widgets.page.style import error_html, note_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.widgets.forms.tabs import RunEditor


class Tools:
    """The line above the tabs of a form.

    Parameters
    ----------
    get, take
        Return the config of the form, and show another one, which a goal has changed.
    editor
        The editor whose settings are searched.
    """

    def __init__(
        self,
        get: Callable[[], MatterTunerConfig],
        take: Callable[[MatterTunerConfig], None],
        editor: RunEditor,
    ) -> None:
        self._get, self._take, self._editor = get, take, editor
        self.goal = Dropdown(
            options=list(GOALS),
            description="Goal",
            tooltip="A starting point, given as differences from the defaults",
            layout=shared(W.Layout, width="330px"),
            style={"description_width": "auto"},
        )
        self.search = Text(
            placeholder="search all settings, e.g. clip",
            description="Search",
            layout=shared(W.Layout, width="280px"),
            style={"description_width": "auto"},
        )
        # always present, so that choosing a goal moves nothing
        self.found, self.text = HTML(), HTML(note_html(GOALS[NO_GOAL].why))
        line = HBox([self.goal, self.search, self.found], css="mt-tools")
        self.widget = VBox([line, self.text])
        self._applied = NO_GOAL
        # for each field set by the goal: the previous value, and the goal's
        self._replaced: dict[str, tuple[Any, Any]] = {}
        self.goal.observe(self._on_goal, "value")
        self.search.observe(self._on_search, "value")

    def _on_search(self, change: Any) -> None:
        text = change["new"]
        self._editor.find(text)
        hits = {t: n for t, n in self._editor.hits.items() if n}
        words = ", ".join(f"{n} on {title}" for title, n in hits.items()) or "nothing found"
        self.found.value = note_html(words if text.strip() else "")

    def _on_goal(self, change: Any) -> None:
        """Undo what the last goal changed, and apply the new one; all else stays."""
        if change["new"] == self._applied:
            return
        own, goal = self._get(), GOALS[change["new"]]
        now = own.to_dict()
        before = apply_settings(
            now,
            {p: old for p, (old, set_by_it) in self._replaced.items() if find(now, p) == set_by_it},
        )
        try:
            if goal.needs and goal.needs not in own.model.property_names:
                msg = f"'{change['new']}' makes no sense unless {goal.needs} are trained."
                raise ConfigError(msg)
            config = type(own).from_dict(apply_settings(before, goal.settings))
        except ConfigError as exc:
            self.goal.value = self._applied
            self.text.value = error_html(str(exc))
            return
        self._applied, after = change["new"], config.to_dict()
        self._replaced = {
            p: (find(before, p), find(after, p))
            for p in goal.settings
            if find(before, p) is not MISSING
        }
        self._take(config)
        self.show_goal()

    def show_goal(self) -> None:
        """Show what the goal has changed."""
        self.text.value = describe(GOALS[self._applied], self._replaced, self._get())
