"""Which fields a search finds, based on their declarations, because most editors do not exist yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mattertune_nb.widgets.forms.annotations import config_classes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


def basic_fields(cls: type[BaseModel], names: Sequence[str]) -> list[str]:
    """Return those fields that most people change."""
    extras: dict[str, Any] = {n: cls.model_fields[n].json_schema_extra or {} for n in names}
    return [name for name, extra in extras.items() if extra.get("basic")]


def is_found(name: str, field: FieldInfo, text: str, *, deep: bool = True) -> bool:
    """Return whether each word of a text begins a word of a field's name, label or description.

    Parameters
    ----------
    name, field
        The field.
    text
        What the user typed, in any case.
    deep
        Whether the fields of nested configs count as well.
    """
    wanted = text.lower().replace("_", " ").split()
    return any(
        all(any(word.startswith(part) for word in words) for part in wanted)
        for words in _words(name, field, deep=deep)
    )


def _words(name: str, field: FieldInfo, *, deep: bool) -> Iterator[list[str]]:
    own = f"{name} {field.title or ''} {field.description or ''}".lower()
    yield "".join(c if c.isalnum() else " " for c in own).split()
    for cls in config_classes(field.annotation) if deep else ():
        for inner, inner_field in cls.model_fields.items():
            yield from _words(inner, inner_field, deep=True)
