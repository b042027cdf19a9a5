"""Python code that builds a config: its constructors, without the fields at their default."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel

_WIDTH = 88


def python_code(config: BaseModel) -> str:
    """Return a script that builds a config as ``config``.

    Parameters
    ----------
    config
        Any config, also one of another package, which is imported by its name.
    """
    imports = ["import mattertune_nb as mt", *sorted(_foreign_imports(config))]
    return "\n".join([*imports, "", f"config = {_code(config, 0)}", ""])


def _code(value: Any, indent: int) -> str:
    """Return constructor code for a value, split over several lines if it is long."""
    if isinstance(value, BaseModel):
        prefix = "mt." if type(value).__module__.startswith("mattertune_nb.") else ""
        changed = _not_at_default(value).items()
        parts = [f"{name}={_code(own, indent + 4)}" for name, own in changed]
        return _join(f"{prefix}{type(value).__name__}(", parts, ")", indent)
    if isinstance(value, (list, tuple)):
        parts = [_code(item, indent + 4) for item in value]
        if isinstance(value, tuple):
            return _join("(", parts, ",)" if len(parts) == 1 else ")", indent)
        return _join("[", parts, "]", indent)
    if isinstance(value, dict):
        return _join("{", [f"{k!r}: {_code(v, indent + 4)}" for k, v in value.items()], "}", indent)
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    return repr(value)


def _not_at_default(config: BaseModel) -> dict[str, Any]:
    """Return the settings that differ from their defaults; as plain data if code cannot express them."""
    plain = config.model_dump(mode="json")
    changed = {}
    for name, field in type(config).model_fields.items():
        current = getattr(config, name)
        if not field.is_required():
            default = field.get_default(call_default_factory=True)
            # 1 and 1.0 may differ in meaning: a number of items, or a fraction
            if current == default and type(current) is type(default):
                continue
        changed[name] = current if _has_code(current) else plain[name]
    return changed


def _has_code(value: Any) -> bool:
    """Return whether :func:`_code` can write a value as calls of its own constructors."""
    if isinstance(value, (list, tuple)):
        return all(_has_code(item) for item in value)
    if isinstance(value, dict):
        return all(_has_code(item) for item in value.values())
    return value is None or isinstance(value, (BaseModel, str, int, float, bool))


def _join(start: str, parts: list[str], end: str, indent: int) -> str:
    one_line = start + ", ".join(parts) + end
    if "\n" not in one_line and len(one_line) + indent <= _WIDTH:
        return one_line
    pad = " " * (indent + 4)
    body = "".join(f"{pad}{part},\n" for part in parts)
    return f"{start}\n{body}{' ' * indent}{end.lstrip(',')}"


def _foreign_imports(value: Any) -> set[str]:
    """Return import lines for configs defined by other packages."""
    if isinstance(value, BaseModel):
        module, name = type(value).__module__, type(value).__name__
        own = set() if module.startswith("mattertune_nb.") else {f"from {module} import {name}"}
        return own.union(
            *(_foreign_imports(getattr(value, field)) for field in type(value).model_fields)
        )
    if isinstance(value, (list, tuple)):
        return set().union(*(_foreign_imports(item) for item in value))
    return set()
