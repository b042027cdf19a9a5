"""A form of a config class: its fields under their headings, validated by the class itself."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import traitlets
from typing_extensions import override

from mattertune_nb.config.base import StrictConfig
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.widgets.annotations import tag_field
from mattertune_nb.widgets.editors import make_editor
from mattertune_nb.widgets.fields import Editor
from mattertune_nb.widgets.picture import enable_colab_widgets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import BaseModel

    from mattertune_nb.widgets.fields import Path

_HEADING = "font-weight:600;margin-top:6px;border-bottom:1px solid var(--jp-border-color2, #bbb);width:100%"
_GRID = W.Layout(
    display="grid",
    grid_template_columns="repeat(auto-fit, minmax(455px, 1fr))",
    grid_gap="2px 12px",
    align_items="flex-start",
)


class ConfigEditor(Editor):
    """Editors of all fields of a config class.

    Parameters
    ----------
    cls
        The class; its own fields, descriptions and bounds make the form.
    changed
        Called after a person has changed something.
    leave_out
        Fields that are edited elsewhere.
    """

    wide = True

    def __init__(
        self,
        cls: type[BaseModel],
        changed: Callable[[], None],
        leave_out: Sequence[str] = (),
    ) -> None:
        super().__init__(changed)
        self.cls = cls
        tag = tag_field(cls)
        self._fixed = {tag: cls.model_fields[tag].default} if tag else {}
        self.editors: dict[str, Editor] = {
            name: make_editor(
                name.replace("_", " "), field, field.annotation, ConfigEditor, changed
            )
            for name, field in cls.model_fields.items()
            if name != tag and name not in leave_out
        }
        self._kept: dict[str, Any] = {}
        self.message = W.HTML()
        self.widget = W.VBox([*self._sections(), self.message], layout=W.Layout(width="100%"))
        if issubclass(cls, StrictConfig):
            defaults = {
                name: field.get_default(call_default_factory=True)
                for name, field in cls.model_fields.items()
                if not field.is_required()
            }
            self.set(cls.model_construct(**defaults).model_dump(mode="json", warnings=False))

    def _sections(self) -> list[W.Widget]:
        groups: dict[str, list[str]] = {}
        for name in self.editors:
            extra: Any = self.cls.model_fields[name].json_schema_extra or {}
            groups.setdefault(extra.get("group", ""), []).append(name)
        sections: list[W.Widget] = []
        for group, names in groups.items():
            if group:
                sections.append(W.HTML(f'<div style="{_HEADING}">{group}</div>'))
            narrow = [self.editors[n].widget for n in names if not self.editors[n].wide]
            if narrow:
                sections.append(W.Box(narrow, layout=_GRID))
            sections += [self._wide(n) for n in names if self.editors[n].wide]
        return sections

    def _wide(self, name: str) -> W.Widget:
        editor = self.editors[name]
        if not isinstance(editor, ConfigEditor):
            return editor.widget
        return W.Accordion([editor.widget], titles=(name.replace("_", " "),))

    @override
    def get(self) -> dict[str, Any]:
        return self._fixed | self._kept | {name: e.get() for name, e in self.editors.items()}

    @override
    def _show(self, value: Any) -> None:
        data = value.to_dict() if isinstance(value, StrictConfig) else dict(value)
        self._kept = {
            k: v for k, v in data.items() if k not in self.editors and k in self.cls.model_fields
        }
        for name, editor in self.editors.items():
            if name in data:
                editor.set(data[name])

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        for name, editor in self.editors.items():
            editor.show_problems([(p[1:], text) for p, text in problems if p[:1] == (name,)])
        own = "; ".join(
            ".".join(map(str, p)) + ": " * bool(p) + text
            for p, text in problems
            if not p or p[0] not in self.editors
        )
        self.message.value = (
            '<div role="alert" style="color:var(--jp-error-color1,#c62828)">'
            f"{html.escape(own)}</div>"
            if own
            else ""
        )


class ConfigForm(W.VBox):  # type: ignore[misc]
    """A form whose ``config`` is always the last valid one.

    Parameters
    ----------
    config
        What the form shows first.
    """

    config = traitlets.Instance(StrictConfig)

    def __init__(self, config: StrictConfig, editor: Editor | None = None) -> None:
        enable_colab_widgets()
        self._own_change = False
        self._cls = type(config)
        self.editor = editor or ConfigEditor(self._cls, self._on_change)
        self.editor.set(config.to_dict())
        super().__init__([self.editor.widget], config=config)
        self.observe(self._on_config, "config")

    def _on_change(self) -> None:
        try:
            config = self._cls.from_dict(self.editor.get())
        except ConfigError as exc:
            self.editor.show_problems(exc.problems or [((), str(exc))])
            return
        self.editor.show_problems([])
        self._own_change = True
        try:
            self.config = config
        finally:
            self._own_change = False

    def _on_config(self, change: Any) -> None:
        if not self._own_change:
            self.editor.set(change["new"].to_dict())
            self.editor.show_problems([])
