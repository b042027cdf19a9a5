"""Stands in for a form if widgets cannot be shown: the main settings as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from mattertune_nb.config.escaped import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

_ELSEWHERE = "All settings: <code>print(form.config.to_yaml())</code>"


def settings_html(config: BaseModel) -> str:
    """Return the basic settings of a config as a table, with the labels and units of the form."""
    rows = "".join(
        f"<tr><td style='text-align:left'>{escaped(label)}</td>"
        f"<td style='text-align:left'>{escaped(value)}</td></tr>"
        for label, value in basic_settings(config)
    )
    return f"<table><tbody>{rows}</tbody></table><p>{_ELSEWHERE}</p>"


def basic_settings(config: BaseModel, above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the label and value of each basic setting that is set, including those of nested configs."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        label = field.title or name.replace("_", " ").capitalize()
        parts = value if isinstance(value, list) else [value]
        if parts and all(isinstance(part, BaseModel) for part in parts):
            for part in parts:
                own = _own_name(part)
                yield from basic_settings(part, own if isinstance(value, list) else label)
        elif value is not None and _extra(field).get("basic"):
            unit = _extra(field).get("unit")
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            said = _words(value, _extra(field)) + (f" {unit}" if unit and is_number else "")
            yield (f"{above}: {label}" if above else label), said


def _own_name(part: BaseModel) -> str:
    return str(getattr(part, "name", type(part).__name__)).capitalize()


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _words(value: Any, extra: dict[str, Any]) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Path):
        return value.name
    if isinstance(value, list):
        return f"{len(value)} given" if value else "none"
    words = extra.get("options") or {}
    return str(words.get(value, value))
