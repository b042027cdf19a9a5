"""The properties to train: a row each for energy, forces and stress, and one per custom property."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
from typing_extensions import override

from mattertune_nb.config.model import ModelConfig
from mattertune_nb.config.own_properties import OWN_KINDS
from mattertune_nb.config.properties import (
    ENERGY,
    FORCES,
    PROPERTIES,
    STRESSES,
    outside_config_class,
    outside_kinds,
)
from mattertune_nb.config.task import (
    EnergyPropertyConfig,
    ForcesPropertyConfig,
    StressesPropertyConfig,
)
from mattertune_nb.widgets.forms.about import About
from mattertune_nb.widgets.forms.annotations import kind_text
from mattertune_nb.widgets.forms.editor import Editor
from mattertune_nb.widgets.forms.form import ConfigEditor
from mattertune_nb.widgets.forms.lazy import Lazy
from mattertune_nb.widgets.forms.lists import Rows
from mattertune_nb.widgets.forms.nested_fields import Choice
from mattertune_nb.widgets.page.controls import Box, Checkbox, VBox, shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mattertune_nb.widgets.forms.editor import Path

CLASSES: dict[str, Any] = {
    ENERGY.name: EnergyPropertyConfig,
    FORCES.name: ForcesPropertyConfig,
    STRESSES.name: StressesPropertyConfig,
}


class PropertyRow:
    """One property: whether it is trained, and its settings, which are created once it is."""

    def __init__(self, name: str, changed: Callable[[], None]) -> None:
        self.name = name
        self.settings = Lazy(
            lambda: ConfigEditor(CLASSES[name], changed, prefix="model.properties."), changed
        )
        prop = PROPERTIES[name]
        self.switch = Checkbox(
            False,
            description=f"{prop.title.capitalize()} ({prop.unit})",
            indent=False,
            layout=shared(W.Layout, width="150px", flex="0 0 150px"),
        )
        self.switch.observe(self._on_switch, "value")
        self.widget = Box([self.switch], css="mt-property")
        self.widget.once_shown = (self.settings.widget,)

    def _on_switch(self, change: Any) -> None:
        on = change["new"]
        if on:
            _ = self.settings.inner
        self.widget.children = [self.switch, self.settings.widget] if on else [self.switch]

    def get(self) -> Any:
        """Return the settings as builtins."""
        return self.settings.inner.get()

    def set(self, value: Any) -> None:
        """Show settings; ``None`` if the property is not trained."""
        if value is not None:
            self.settings.set(value)
        self.switch.value = value is not None


def own_kinds() -> dict[str, Any]:
    """Return the settings classes of custom properties, including those from other packages."""
    ours = {cls.model_fields["type"].default: cls for cls in OWN_KINDS}
    return ours | {kind: outside_config_class(kind) for kind in outside_kinds()}


class OwnProperties(Rows):
    """Custom properties: any number or vector per structure, any number per atom."""

    def __init__(self, changed: Callable[[], None]) -> None:
        about = About.of(ModelConfig, "properties", "model.").called("Custom properties")
        super().__init__(about, self._new, changed)
        self.add_button.description = "Add a custom property"

    def _new(self) -> Choice:
        kinds: dict[str, tuple[str, Callable[[], Editor] | None]] = {
            kind: (
                kind_text(cls),
                partial(ConfigEditor, cls, self._changed, prefix="model.properties."),
            )
            for kind, cls in own_kinds().items()
        }
        about = About.of(ModelConfig, "properties", "model.").called("Kind of property")
        return Choice(about, kinds, lambda raw: str(raw["type"]), self._changed, wide=True)


class PropertyRows(Editor):
    """The list of properties of a model, with a row for each possible one."""

    wide = True

    def __init__(self, changed: Callable[[], None]) -> None:
        about = About.of(ModelConfig, "properties", "model.")
        super().__init__(changed, about)
        self.default, self.help = about.default, about.mark()
        self.rows = {name: PropertyRow(name, changed) for name in CLASSES}
        self._order = list(CLASSES)
        self.own = OwnProperties(changed)
        for row in self.rows.values():
            row.switch.observe(self._on_change, "value")
        self.widget = VBox(
            [*(row.widget for row in self.rows.values()), self.own.widget], css="mt-form"
        )

    @override
    def inner_editors(self) -> Iterable[Editor]:
        return [*(row.settings for row in self._learnt()), *self.own.rows]

    @override
    def get(self) -> list[dict[str, Any]]:
        return [*(row.get() for row in self._learnt()), *self.own.get()]

    def _learnt(self) -> list[PropertyRow]:
        return [self.rows[name] for name in self._order if self.rows[name].switch.value]

    @override
    def _show(self, value: Any) -> None:
        given = {item["name"]: item for item in value or [] if item.get("name") in CLASSES}
        self.own.set([item for item in value or [] if item.get("name") not in CLASSES])
        # a list keeps its order, and new items go last
        self._order = [*given, *(name for name in CLASSES if name not in given)]
        for name, row in self.rows.items():
            row.set(given.get(name))

    @override
    def find(self, text: str) -> None:
        for row in self._learnt():
            row.settings.find(text)
        self.own.find(text)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        learnt = self._learnt()
        for i, row in enumerate(learnt):
            own = [(p[1:], text) for p, text in problems if p[:1] == (i,)]
            row.settings.show_problems(own)
        placed = [
            (p[0] - len(learnt), p[1:], text) for p, text in problems if p and isinstance(p[0], int)
        ]
        self.own.show_problems([((i, *rest), text) for i, rest, text in placed if i >= 0])
        texts = [text for p, text in problems if not p or not isinstance(p[0], int)]
        has_none = not learnt and not self.own.rows
        self._say("choose at least one" if texts and has_none else "; ".join(texts))
