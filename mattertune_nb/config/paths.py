"""Where a setting is: its dotted path through the classes of a config, and through its plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from mattertune_nb.config.errors import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic.fields import FieldInfo

Path = tuple[str | int, ...]

KINDS = ("type", "name")
"""Fields that distinguish the classes of a union."""


class Setting(NamedTuple):
    """A setting, with the label that messages use, and its field; none for an entry of a list or mapping."""

    path: Path
    label: str
    field: FieldInfo | None


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the config classes that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def fields_named(models: Iterable[type[BaseModel]], name: str | int) -> list[FieldInfo]:
    """Return the fields of that name, one for each class that has it."""
    return [model.model_fields[str(name)] for model in models if name in model.model_fields]


def label_of(name: str, field: FieldInfo) -> str:
    """Return what people call a field; the words of its name if nothing is declared."""
    return field.title or name.replace("_", " ").capitalize()


def setting_at(cls: type[BaseModel], loc: Path, *, unknown: bool) -> Setting:
    """Find a setting, leaving out the parts of pydantic's path that name a member of a union."""
    kept: list[str | int] = []
    models: list[type[BaseModel]] = [cls]
    in_dict = False
    label, field = cls.__name__, None
    for i, part in enumerate(loc):
        if found := fields_named(models, part):
            field = found[0]
            in_dict = get_origin(field.annotation) is dict
            models = list(models_in(field.annotation))
            label = label_of(str(part), field)
        elif isinstance(part, int):
            label, in_dict = f"{label}, number {part + 1},", False
        elif in_dict:
            label, in_dict = f"{label} of {cut(str(part))}", False
        elif not (unknown and i == len(loc) - 1):
            continue
        kept.append(part)
    return Setting(tuple(kept), label, field)


def paths_of(cls: type[BaseModel], name: str) -> list[str]:
    """Return the dotted paths of the settings that are the fewest groups further down.

    Their name is `name`, or at least ends in it, as 'max_epochs' in 'epochs'.
    """
    level, seen = [("", cls)], {cls}
    while level:
        fields = [(path, part) for path, group in level if path for part in group.model_fields]
        for is_it in (name.__eq__, lambda part: part.endswith(f"_{name}")):
            if found := [f"{path}{part}" for path, part in fields if is_it(part)]:
                return list(dict.fromkeys(found))
        inner = [
            (f"{path}{part}.", member)
            for path, group in level
            for part, field in group.model_fields.items()
            if get_origin(field.annotation) not in (list, dict)
            for member in models_in(field.annotation)
        ]
        level = [(path, member) for path, member in inner if member not in seen]
        seen.update(member for _, member in level)
    return []


def child(data: Any, name: str) -> Any:
    """Return an entry of plain data by one part of a dotted path; an entry that is not set becomes a group.

    Raises
    ------
    KeyError
        There is no such entry.
    """
    if isinstance(data, list) and name.isdecimal() and len(name) < 10 and int(name) < len(data):
        return data[int(name)]
    if isinstance(data, dict) and name in data:
        if data[name] is None:
            data[name] = {}
        return data[name]
    raise KeyError(name)
