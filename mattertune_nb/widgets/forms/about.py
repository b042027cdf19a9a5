"""What a form says about a setting: its label, and the help behind its mark."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.base import StrictConfig
from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.paths import label_of
from mattertune_nb.widgets.forms.annotations import (
    finite_options,
    is_config,
    kind_text,
    members,
)

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}

_numbers = count()

# A popover lies on top of everything, so no tab or cell clips it, and Escape closes it. It is placed above
# its mark, or below the field's line if there is no room.
_SHOW = (
    "const t=this.nextElementSibling,r=this.getBoundingClientRect();"
    "if(!t.matches(':popover-open'))t.showPopover();"
    "const h=t.offsetHeight,w=t.offsetWidth;"
    "t.style.left=Math.max(8,Math.min(r.right-w,innerWidth-w-8))+'px';"
    "t.style.top=(r.top>h+16?r.top-h-12:r.bottom+12)+'px'"
)
_HIDE = "if(document.activeElement!==this)this.nextElementSibling.hidePopover()"


@dataclass(frozen=True)
class About:
    """A setting as people see it.

    Attributes
    ----------
    label
        Its name for people.
    field
        Its declaration: description, bounds, unit, default.
    path
        Its full name in a config, e.g. ``trainer.max_epochs``; empty if it has none.
    annotation
        Type of the value; that of the field if ``None``.
    """

    label: str
    field: FieldInfo
    path: str = ""
    annotation: Any = None

    @classmethod
    def of(cls, config: type[BaseModel], name: str, prefix: str = "") -> About:
        """Return everything there is to say about a field of a config class."""
        field = config.model_fields[name]
        return cls(label_of(name, field), field, prefix + name, field.annotation)

    def called(self, label: str) -> About:
        """Return the same with another label."""
        return replace(self, label=label)

    def typed(self, annotation: Any, label: str = "") -> About:
        """Return the same for values of another type, e.g. the items of a list."""
        return replace(self, annotation=annotation, label=label or self.label)

    @property
    def extra(self) -> dict[str, Any]:
        """What the declaration says beyond pydantic, see :func:`~mattertune_nb.config.base.setting`."""
        extra: Any = self.field.json_schema_extra or {}
        return dict(extra)

    @property
    def unit(self) -> str:
        """Unit of the value."""
        return str(self.extra.get("unit", ""))

    @property
    def default(self) -> Any:
        """The default as builtins; :data:`MISSING` if the field is required."""
        return default_of(self.field)

    @property
    def bounds(self) -> str:
        """The bounds of the value, e.g. ``at least 0 and below 1``; empty if there are none."""
        return " and ".join(
            f"{words} {bound:g}"
            for mark in self.field.metadata
            for name, words in _BOUNDS.items()
            if (bound := getattr(mark, name, None)) is not None
        )

    @property
    def default_text(self) -> str:
        """The default in words; empty if the field is required or its default is a config."""
        default = self.default
        options = finite_options(
            self.annotation, self.extra.get("kinds", {}), self.extra.get("options", {})
        )
        for text, value in options or ():
            if value == default and type(value) is type(default):
                return text
        if default is None:
            return str(self.extra.get("kinds", {}).get("none", "not set"))
        if isinstance(default, bool):
            return "yes" if default else "no"
        if isinstance(default, (int, float, str)) and default != "":
            words: dict[str, str] = self.extra.get("options", {})
            return words.get(
                str(default), f"{default:g}" if default.__class__ is float else str(default)
            )
        if isinstance(default, (list, tuple)) and default and not isinstance(default[0], dict):
            return ", ".join(map(str, default))
        return ""

    def lines(self) -> list[str]:
        """Return the lines of the help: meaning, unit, bounds, choices, default, and full name."""
        lines = [self.field.description or self.label]
        facts = []
        if self.unit:
            facts.append(f"Unit: {self.unit}.")
        if self.bounds:
            facts.append(f"{self.bounds.capitalize()}.")
        if self.default_text:
            facts.append(f"Default: {self.default_text}.")
        if facts:
            lines.append(" ".join(facts))
        configs = [kind for kind in members(self.annotation) if is_config(kind)]
        if len(configs) > 1:
            lines += [f"{kind_text(kind)}: {first_line(kind)}" for kind in configs]
        if self.path:
            lines.append(f"In a config: {self.path}")
        return lines

    def text(self) -> str:
        """Return the help in one line."""
        return " ".join(self.lines())

    def mark(self) -> str:
        """Return the mark that shows the help to mouse, keyboard and screen reader users, as HTML."""
        number = f"mt-help-{next(_numbers)}"
        what, *rest = map(escaped, self.lines())
        body = f"<b>{escaped(self.label)}</b><p>{what}</p>" + "".join(
            f"<p><code>{line.removeprefix('In a config: ')}</code></p>"
            if line.startswith("In a config: ")
            else f"<p>{line}</p>"
            for line in rest
        )
        return (
            f'<button type="button" class="mt-help" aria-label="Help: {escaped(self.label)}" '
            f'aria-describedby="{number}" onfocus="{_SHOW}" onmouseenter="this.onfocus()" '
            f'onclick="this.focus();this.onfocus()" onmouseleave="{_HIDE}" '
            f'onblur="this.nextElementSibling.hidePopover()">?</button>'
            f'<div popover id="{number}" class="mt-tip" role="tooltip">{body}</div>'
        )


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
"""Stands for the default of a field without one."""


def default_of(field: FieldInfo) -> Any:
    """Return a field's default as builtins; :data:`MISSING` if it is required."""
    return MISSING if field.is_required() else _plain(field.get_default(call_default_factory=True))


def _plain(value: Any) -> Any:
    if isinstance(value, StrictConfig):
        return value.to_dict()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def first_line(cls: type) -> str:
    """Return the first line of a class's docstring, without markup meant for readers of code."""
    text = (inspect.getdoc(cls) or "").partition("\n")[0]
    return re.sub(r",? *:\w+:`[^`]*`|`", "", text)
