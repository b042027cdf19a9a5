"""What is wrong with a setting, in plain words, with its label, bounds and an example."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from mattertune_nb.config.errors import LONGEST, ConfigError, cut, did_you_mean
from mattertune_nb.config.paths import Path, Setting, paths_of, setting_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo

_WANTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "string_pattern_mismatch": "of another form",
    "path_type": "the path of a file or folder",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping, as in 'name: value'",
    "model_type": "a group of settings",
    "model_attributes_type": "a group of settings",
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
    "string_too_short": "of at least {min_length} characters",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "union_tag_invalid": "one of {expected_tags}",
}
"""What follows 'must be' for each kind of pydantic report."""

_WITH_EXAMPLE = {"int_parsing", "int_type", "int_from_float", "float_parsing", "float_type"}


def problems_of(cls: type[BaseModel], exc: ValidationError) -> list[tuple[Path, str]]:
    """Return the path of each setting that pydantic reports, and what is wrong with it."""
    problems: dict[Path, list[str]] = {}
    wanted: dict[Path, tuple[Setting, list[str], Any]] = {}
    for error in exc.errors(include_url=False):
        kind, context = error["type"], error.get("ctx", {})
        setting = setting_at(cls, error["loc"], unknown=kind == "extra_forbidden")
        texts = problems.setdefault(setting.path, [])
        cause = context.get("error")
        if isinstance(cause, ConfigError) and cause.problems:
            for path, text in cause.problems:
                problems.setdefault(setting.path + path, []).append(text)
        elif kind == "extra_forbidden":
            texts.append(unknown_setting(cls, str(setting.path[-1])))
        elif kind in ("missing", "union_tag_not_found"):
            tag = context.get("discriminator", "").strip("'")
            path = (*setting.path, tag) if tag else setting.path
            of_kind = f": say of which {tag}" if tag else ""
            problems.setdefault(path, []).append(f"{setting.label} is required{of_kind}")
        elif cause is not None:
            texts.append(_cut_short(str(cause), error["input"]))
        elif kind == "string_pattern_mismatch" and error["input"] == "":
            examples = (setting.field and setting.field.examples) or []
            texts.append(", e.g. ".join([f"{setting.label} is required", *map(str, examples[:1])]))
        elif kind in _WANTED:
            _, phrases, _ = wanted.setdefault(setting.path, (setting, [], error["input"]))
            phrase = _phrase(kind, context, setting.field)
            if phrase not in phrases:
                phrases.append(phrase)
        else:
            words = error["msg"].removeprefix("Input should ").removeprefix("be ")
            texts.append(f"{setting.label} must be {words}; got {shown(error['input'])}")
    for path, (setting, phrases, value) in wanted.items():
        example = _example(setting.field) if any(p in _EXAMPLED for p in phrases) else ""
        got = f"; got {shown(value)}" if not isinstance(value, BaseModel) else ""
        problems[path].append(f"{setting.label} must be {' or '.join(phrases)}{example}{got}")
    return [(path, " or ".join(dict.fromkeys(texts))) for path, texts in problems.items() if texts]


_EXAMPLED = {_WANTED[kind] for kind in _WITH_EXAMPLE}


def _cut_short(text: str, given: Any) -> str:
    """Return a validator's message; if it repeats the given value, only the beginning of that."""
    is_long = isinstance(given, str) and len(given) > LONGEST
    return text.replace(given, cut(given)) if is_long else text


def shown(value: Any) -> str:
    """Return a value as a message repeats it, cut if it is long."""
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
    elif value is None:
        text = "nothing"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    else:
        try:
            text = repr(value)
        except (
            ValueError,
            RecursionError,
        ):  # a number with thousands of digits, or as deeply nested data
            text = f"a {type(value).__name__}"
    return cut(text)


def unknown_setting(cls: type[BaseModel], name: str) -> str:
    """Return the message for a setting that a class does not have."""
    fields = list(cls.model_fields)
    deeper = [f"'{path}'" for path in paths_of(cls, name)[:3]]
    hint = f" Did you mean {' or '.join(deeper)}?" if deeper else did_you_mean(name, fields)
    return f"unknown setting.{hint or ' Allowed: ' + ', '.join(fields) + '.'}"


def _phrase(kind: str, context: Mapping[str, Any], field: FieldInfo | None) -> str:
    examples = (field and field.examples) or []
    if kind == "string_pattern_mismatch" and examples:
        return f"of the form {examples[0]}"
    if kind == "string_too_short" and context.get("min_length") == 1:
        return "given, or not set"
    unit = _extra(field).get("unit", "")
    phrase = _WANTED[kind].format(**context)
    return f"{phrase} {unit}" if unit and kind.startswith(("greater", "less")) else phrase


def _example(field: FieldInfo | None) -> str:
    if field is None:
        return ""
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    examples = [*(field.examples or ()), default]
    number = next((x for x in examples if type(x) in (int, float)), None)
    unit = _extra(field).get("unit", "")
    return f", e.g. {number:g}{unit and f' {unit}'}" if number is not None else ""


def _extra(field: FieldInfo | None) -> dict[str, Any]:
    extra = field.json_schema_extra if field is not None else None
    return extra if isinstance(extra, dict) else {}
