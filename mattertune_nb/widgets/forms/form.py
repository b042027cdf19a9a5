"""A form of a config class: its fields under their headings, validated by the class itself."""

from __future__ import annotations

import re
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import traitlets
from typing_extensions import override

from mattertune_nb.config.base import StrictConfig
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.escaped import escaped
from mattertune_nb.widgets.forms.about import About
from mattertune_nb.widgets.forms.annotations import tag_field
from mattertune_nb.widgets.forms.editor import Editor
from mattertune_nb.widgets.forms.editors import make_editor
from mattertune_nb.widgets.forms.lazy import Disclosure
from mattertune_nb.widgets.forms.search import basic_fields, is_found
from mattertune_nb.widgets.forms.settings_table import settings_html
from mattertune_nb.widgets.page.connection import CONNECTION_STYLE, Connection
from mattertune_nb.widgets.page.controls import HTML, Box, VBox
from mattertune_nb.widgets.page.front_end import enable_colab_widgets, has_front_end
from mattertune_nb.widgets.page.lifetime import ClosedOnRerun
from mattertune_nb.widgets.page.path_ends import PathEnds
from mattertune_nb.widgets.page.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from mattertune_nb.widgets.forms.editor import Path


class ConfigEditor(Editor):
    """Editors of all fields of a config class.

    Parameters
    ----------
    cls
        The class; the form is built from its fields, descriptions and bounds.
    changed
        Called after the user has changed something.
    prefix
        Prefix that turns a field's name into its full name in a config, e.g. ``"trainer."``.
    only
        The fields shown; all by default.
    rest_label
        Text of the button behind which the rarely used fields are.

    Attributes
    ----------
    first
        Editors of the fields shown at first.
    rest
        Editors of the other fields, if some fields are marked as basic.
    """

    wide = True

    def __init__(
        self,
        cls: type[BaseModel],
        changed: Callable[[], None],
        *,
        prefix: str = "",
        only: Collection[str] | None = None,
        rest_label: str = "More settings",
    ) -> None:
        super().__init__(changed)
        self.cls, self._prefix = cls, prefix
        tag = tag_field(cls)
        names = [n for n in cls.model_fields if n != tag and (only is None or n in only)]
        shown = basic_fields(cls, names) or names
        others = [n for n in names if n not in shown]
        self._fixed = (
            {tag: cls.model_fields[tag].default} if tag and (only is None or tag in only) else {}
        )
        self.first: dict[str, Editor] = {name: self._make(name) for name in shown}
        self.rest: Disclosure | None = None
        self._others = others
        if others:
            make = partial(ConfigEditor, cls, changed, prefix=prefix, only=others)
            self.rest = Disclosure(rest_label, make, changed)
        self._headings: dict[str, HTML] = {}
        self.widget = self._make_widget()
        defaults = {
            name: field.get_default(call_default_factory=True)
            for name, field in cls.model_fields.items()
            if not field.is_required()
        }
        self.set(cls.model_construct(**defaults).model_dump(mode="json", warnings=False))

    def _make(self, name: str) -> Editor:
        about = About.of(self.cls, name, self._prefix)
        nested = partial(ConfigEditor, prefix=f"{about.path}.")
        editor = make_editor(about, nested, self._changed)
        editor.default = about.default
        return editor

    @property
    def editors(self) -> dict[str, Editor]:
        """Editors of all fields; those of the rest are created now if needed."""
        return self.first | (self.rest.inner.editors if self.rest is not None else {})

    @property
    def headings(self) -> dict[str, HTML]:
        """The heading of each group of fields."""
        return self._headings | (self.rest.inner.headings if self.rest is not None else {})

    def _make_widget(self) -> W.Box:
        groups: dict[str, list[str]] = {}
        for name in self.first:
            # a few basic fields need no headings
            group = "" if self.rest is not None else _group(self.cls.model_fields[name])
            groups.setdefault(group, []).append(name)
        sections: list[W.Widget] = []
        for group in sorted(groups, key=bool):
            if group:
                title = escaped(group[:1].upper() + group[1:])
                self._headings[group] = HTML(f'<div class="mt-heading">{title}</div>')
                sections.append(self._headings[group])
            for wide, names in groupby(groups[group], lambda name: self.first[name].wide):
                parts = [self.first[name].widget for name in names]
                sections += parts if wide else [Box(parts, css="mt-form mt-grid")]
        if self.rest is not None:
            sections.append(self.rest.widget)
        return sections[0] if len(sections) == 1 else VBox(sections, css="mt-form")

    def add_below(self, name: str, note: W.Widget) -> None:
        """Place a widget below the full-width field it belongs to."""
        children = list(self.widget.children)
        children.insert(children.index(self.first[name].widget) + 1, note)
        self.widget.children = children

    def add_before_rest(self, note: W.Widget) -> None:
        """Place a widget below all the fields shown at first."""
        children = list(self.widget.children)
        at = len(children) if self.rest is None else children.index(self.rest.widget)
        self.widget.children = [*children[:at], note, *children[at:]]

    def find(self, text: str) -> None:
        """Hide the fields that a search does not match, and open whatever contains the ones it does."""
        shown = set()
        for name, editor in self.first.items():
            field = self.cls.model_fields[name]
            found = not text or is_found(name, field, text)
            if found:
                shown.add(_group(field))
            (editor.widget.remove_class if found else editor.widget.add_class)("mt-miss")
            if not text or (found and not is_found(name, field, text, deep=False)):
                editor.find(text)
        for group, heading in self._headings.items():
            (heading.remove_class if group in shown else heading.add_class)("mt-miss")
        if self.rest is not None:
            fields = self.cls.model_fields
            hits = [n for n in self._others if is_found(n, fields[n], text)]
            self.rest.find(text if hits else "")

    @override
    def inner_editors(self) -> Iterable[Editor]:
        return [*self.first.values(), *([self.rest] if self.rest is not None else [])]

    @override
    def get(self) -> dict[str, Any]:
        others = {} if self.rest is None else self.rest.get() or {}
        return self._fixed | {name: editor.get() for name, editor in self.first.items()} | others

    @override
    def _show(self, value: Any) -> None:
        for name, editor in self.first.items():
            if name in value:
                editor.set(value[name])
        if self.rest is not None:
            others = {name: value[name] for name in self._others if name in value}
            self.rest.set((self.rest.get() or {}) | others)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        placed = [self._place(path, text) for path, text in problems]
        for name, editor in self.first.items():
            editor.show_problems([(p[1:], text) for p, text in placed if p[:1] == (name,)])
        if self.rest is not None:
            of_others = [(p, text) for p, text in placed if p and p[0] in self._others]
            self.rest.show_problems(of_others)
        own = "; ".join(
            ".".join(map(str, p)) + ": " * bool(p) + text
            for p, text in placed
            if not p or p[0] not in (*self.first, *self._others)
        )
        self._say(own)

    def _place(self, path: Path, text: str) -> tuple[Path, str]:
        """Assign problems of the config as a whole to the first field they mention."""
        return path_of_spoken(path, text, [*self.first, *self._others])


def _group(field: FieldInfo) -> str:
    """Return the group of fields that contains one; empty if there is none."""
    extra: Any = field.json_schema_extra or {}
    return str(extra.get("group", ""))


def path_of_spoken(path: Path, text: str, names: Sequence[str]) -> tuple[Path, str]:
    """Return where a message belongs; for one about the whole config, the first field it names."""
    if not path:
        spoken = [word for word in re.findall(r"\w+", text) if word in names]
        if spoken:
            return (spoken[0],), text.removeprefix(f"{spoken[0]}: ")
    return path, text


class ConfigTrait(traitlets.Instance):  # type: ignore[misc]
    """The config of a form, shown whenever it is set.

    It also counts as changed when 1 becomes 1.0, because these have different meanings.
    """

    def get(self, obj: Any, cls: Any = None) -> Any:
        """Return the config, completed by whatever the form still has to find out."""
        obj._complete_config()
        return super().get(obj, cls)

    def set(self, obj: Any, value: Any) -> None:
        """Store a value and notify the observers once if it differs."""
        new, old = self._validate(obj, value), obj._trait_values.get(self.name)
        obj._trait_values[self.name] = new
        obj._show_config()
        if old != new or repr(old) != repr(new):
            obj._notify_trait(self.name, old, new)


class ConfigForm(ClosedOnRerun, W.VBox):  # type: ignore[misc]
    """A form whose ``config`` is always the last valid one.

    A config is copied when set: to change it, set another, or use the form.

    Parameters
    ----------
    config
        The config shown first.

    Attributes
    ----------
    problem
        What is wrong with the current entries, in a line; empty if ``config`` reflects them.
    """

    config: Any = ConfigTrait(StrictConfig)

    def __init__(self, config: StrictConfig, editor: Editor | None = None) -> None:
        enable_colab_widgets()
        self._own_change = False
        self._cls = type(config)
        self.problem = ""
        self.editor = editor or ConfigEditor(self._cls, self._on_change)
        style = HTML(STYLE + CONNECTION_STYLE)
        super().__init__([style, Connection(), PathEnds(), self.editor.widget])
        self.config = config

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Return the form and, if no widgets can be shown, a table of its main settings."""
        still = {"text/html": settings_html(self.config), "text/plain": self.config.to_yaml()}
        return still | dict(super()._repr_mimebundle_(**kwargs)) if has_front_end() else still

    @traitlets.validate("config")  # type: ignore[untyped-decorator]
    def _check_config(self, proposal: Any) -> StrictConfig:
        config: StrictConfig = proposal["value"]
        if not isinstance(config, self._cls):
            msg = f"config: expected a {self._cls.__name__}, got a {type(config).__name__}."
            raise traitlets.TraitError(msg)
        return config if self._own_change else config.model_copy(deep=True)

    def _on_change(self) -> None:
        self.editor.show_changes()
        try:
            config = self._cls.from_dict(self.editor.get())
        except ConfigError as exc:
            texts = [text for _, text in exc.problems]
            self.problem = "; ".join(texts) if texts else str(exc)
            self.editor.show_problems(exc.problems or [((), str(exc))])
            return
        self._clear_problems()
        self._take_own(config)

    def _take_own(self, config: StrictConfig) -> None:
        """Set a config that the editor already shows."""
        self._own_change = True
        try:
            self.config = config
        finally:
            self._own_change = False

    def _show_config(self) -> None:
        if not self._own_change:
            self.editor.set(self.config.to_dict())
            self.editor.show_changes()
            self._clear_problems()

    def _complete_config(self) -> None:
        """Complete a config before it is read."""

    def _clear_problems(self) -> None:
        self.problem = ""
        self.editor.show_problems([])
