"""What the pages take from the code: settings, commands, backbones, public names, the map of modules."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel

import mattertune_nb as mt
from mattertune_nb.backbones import registry
from mattertune_nb.backbones.base import BackboneConfig
from mattertune_nb.backbones.others import ELSEWHERE
from mattertune_nb.cli import app
from mattertune_nb.config.base import StrictConfig
from mattertune_nb.config.model import ModelConfig
from mattertune_nb.widgets.forms.about import MISSING, About, first_line
from mattertune_nb.widgets.forms.annotations import (
    config_classes,
    is_config,
    is_object,
    is_optional,
    kind_text,
    members,
)

PACKAGE = Path(mt.__file__).parent
WORDS = {int: "whole number", float: "number", bool: "yes or no", str: "text", Path: "path"}


def settings() -> str:
    """Return a table for each config class, those of a run in the order in which it holds them."""
    places = dict(reversed(list(_places(mt.MatterTunerConfig))))  # the first of each
    order = list(dict.fromkeys(cls for cls, _ in _places(mt.MatterTunerConfig)))
    others = [cls for cls in public_configs() if cls not in order]
    return "\n".join(_section(cls, places.get(cls, "")) for cls in order + others)


def public_configs() -> list[type[BaseModel]]:
    """Return the config classes among the public names."""
    return [getattr(mt, name) for name in sorted(mt.__all__) if is_config(getattr(mt, name))]


def _places(cls: type[BaseModel], prefix: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """Yield each config class below one, with where a run's config holds it."""
    yield cls, prefix
    for name, field in cls.model_fields.items():
        if issubclass(cls, BackboneConfig) and name in ModelConfig.model_fields:
            continue  # told once, for all backbones
        for inner in config_classes(field.annotation):
            place = f"{prefix}.{name}" if prefix else name
            if inner is BackboneConfig:
                yield from _places(ModelConfig, place)
                for info in registry.available().values():
                    yield from _places(info.config_class, place)
            else:
                yield from _places(inner, place)


def _section(cls: type[BaseModel], place: str) -> str:
    shared = ModelConfig.model_fields if issubclass(cls, BackboneConfig) else {}
    rows = [
        _row(About.of(cls, name), is_fixed=_is_fixed(cls, name))
        for name in cls.model_fields
        if name not in shared
    ]
    beside = " Beside these it has all settings of [ModelConfig](#modelconfig)." if shared else ""
    lines = [f"## {cls.__name__}", "", _escaped(first_line(cls)) + beside, ""]
    if place:
        lines += [f"In a run's config: `{place}`", ""]
    if rows:
        head = ["Setting", "What it is", "Type", "Unit and bounds", "Default"]
        lines += [_line(head), _line(["---"] * len(head)), *rows]
    return "\n".join([*lines, ""])


def _is_fixed(cls: type[BaseModel], name: str) -> bool:
    return issubclass(cls, StrictConfig) and cls.is_fixed(name)


def _row(about: About, *, is_fixed: bool) -> str:
    kept = " *A resumed run has to keep it.*" if is_fixed else ""
    return _line(
        [
            f"{_escaped(about.label)}<br>`{about.path}`",
            _escaped(about.field.description or "") + kept,
            type_text(about.annotation, about.extra.get("options", {})),
            _escaped(", ".join(filter(None, (about.unit, about.bounds)))),
            _default(about),
        ]
    )


def _default(about: About) -> str:
    if about.default is MISSING:
        return "required"
    value = about.field.get_default(call_default_factory=True)
    parts = value if isinstance(value, list) else [value]
    if parts and all(isinstance(part, BaseModel) for part in parts):
        return ", ".join(_kind(type(part), {}) for part in parts)
    return _escaped(about.default_text)


def type_text(annotation: Any, options: dict[str, str]) -> str:
    """Return a type in words, as Markdown."""
    kinds = list(
        dict.fromkeys(_kind(kind, options) for kind in members(annotation) if not is_object(kind))
    )
    if is_object(annotation):
        return "structures"
    return ", ".join([*filter(None, kinds), *(["or not set"] if is_optional(annotation) else [])])


def _kind(kind: Any, options: dict[str, str]) -> str:
    if kind is BackboneConfig:
        return "a [backbone](backbones.md)"
    if is_config(kind):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if get_origin(kind) is Literal:
        return ", ".join(
            f"`{value}`" + (f" ({_escaped(options[str(value)])})" if str(value) in options else "")
            for value in get_args(kind)
        )
    inner = [type_text(a, options) for a in get_args(kind) if a is not Ellipsis]
    if get_origin(kind) in (list, tuple):
        return f"list of {inner[0]}"
    if get_origin(kind) is dict:
        return f"mapping to {inner[-1]}"
    return WORDS.get(kind, "any")


def commands() -> str:
    """Return each command with its arguments and options."""
    group: Any = typer.main.get_command(app)
    parts = []
    for name, command in group.commands.items():
        parts += [f"## {name}", "", _escaped(command.help or ""), ""]
        rows = []
        for parameter in command.params:
            is_option = parameter.param_type_name == "option"
            shown = (
                ", ".join(parameter.opts)
                if is_option
                else parameter.metavar or parameter.name.upper()
            )
            default = parameter.default
            said = default if isinstance(default, (str, int, Path)) and default is not False else ""
            rows.append(
                _line([f"`{shown}`", _escaped(str(said)), _escaped(getattr(parameter, "help", ""))])
            )
        if rows:
            head = ["Argument or option", "Default", "What it is"]
            parts += [_line(head), _line(["---"] * len(head)), *rows, ""]
    return "\n".join(parts)


def backbones() -> str:
    """Return the facts about each of the pretrained weights, a row each."""
    tables: dict[tuple[str, ...], list[str]] = {}
    for info in registry.available().values():
        for weights, facts in info.config_class.weights().items():
            rows = facts.rows()
            cells = [f"{kind_text(info.config_class)} `{weights}`", *rows.values()]
            tables.setdefault(("Weights", *rows), []).append(_line(cells))
    return "\n".join(
        line
        for head, lines in tables.items()
        for line in (_line([*head]), _line(["---"] * len(head)), *lines)
    )


def elsewhere() -> str:
    """Return why some potentials have no backbone here, a line each."""
    return "\n".join(f"- {_escaped(why)}." for why in ELSEWHERE.values())


def api() -> str:
    """Return the directives that document each public name from its docstring."""
    parts: dict[str, list[str]] = {
        "Functions": [],
        "Classes": [],
        "Settings": [],
        "Errors": [],
    }
    for name in sorted(mt.__all__):
        value = getattr(mt, name)
        directive = f".. auto{{}}:: mattertune_nb.{name}"
        if not isinstance(value, type):
            parts["Functions"] += [directive.format("function"), ""]
        elif issubclass(value, Exception):
            parts["Errors"] += [directive.format("exception"), "   :show-inheritance:", ""]
        elif is_config(value):
            parts["Settings"] += [directive.format("class"), ""]
        else:
            parts["Classes"] += [directive.format("class"), "   :members:", ""]
    texts = [
        "\n".join([f"## {title}", "", "```{eval-rst}", *lines, "```", ""])
        for title, lines in parts.items()
    ]
    return "\n".join(texts)


def rooms() -> str:
    """Return all modules with the first line of their docstrings, folder by folder."""
    parts = []
    folders = sorted({path.parent for path in PACKAGE.rglob("*.py")})
    for folder in folders:
        files = sorted(folder.glob("*.py"))
        texts = {file.name: _first_sentence(file) for file in files}
        room = texts.pop("__init__.py", "")
        shown = folder.relative_to(PACKAGE.parent)
        parts += [f"### `{shown}/`", "", room, ""]
        parts += [f"- `{name}`: {text}" for name, text in texts.items()]
        parts += [""]
    return "\n".join(parts)


def _first_sentence(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return _escaped(inspect.cleandoc(text).partition("\n")[0].replace(":data:", ""))


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()) for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is; what stands between backticks stays code."""
    parts = text.replace("``", "`").split("`")
    marks = str.maketrans({c: f"\\{c}" for c in "\\|<*_[{$"})
    return "`".join(
        part.translate(marks) if i % 2 == 0 else part.replace("|", "\\|")
        for i, part in enumerate(parts)
    )


GENERATED: dict[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "backbones": backbones,
    "elsewhere": elsewhere,
    "public names": api,
    "modules": rooms,
}
"""What stands in a page as a comment, and what is put in its place."""
