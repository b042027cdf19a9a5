"""Whoever asks an editor or `help()` about a public name learns what each parameter means."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pydantic

import mattertune_nb as mt


def public_functions() -> Iterator[tuple[str, Callable[..., object], str]]:
    """Yield name, function and docstring of each function, constructor and method that is ours."""
    for name in mt.__all__:
        thing = getattr(mt, name)
        if inspect.isfunction(thing):
            yield name, thing, thing.__doc__ or ""
        if not inspect.isclass(thing):
            continue
        # the fields of a config have descriptions of their own, and a class may inherit another's
        if not issubclass(thing, (pydantic.BaseModel, Exception)):
            yield name, thing.__init__, thing.__doc__ or ""
        for method, found in inspect.getmembers(thing):
            function = getattr(found, "__func__", found)
            if method.startswith("_") or not inspect.isfunction(function):
                continue
            if function.__module__.startswith("mattertune_nb") and not is_overriding(function):
                yield f"{name}.{method}", function, function.__doc__ or ""


def is_overriding(function: Callable[..., object]) -> bool:
    """Return whether Lightning's or torch's documentation says what it is."""
    return getattr(function, "__override__", False)


def is_described(parameter: str, doc: str) -> bool:
    """Return whether a parameter stands in the section of parameters, or in backticks in a sentence."""
    section = re.search(rf"^\s*(\*?\*?\w+, )*\*?\*?{parameter}(, \*?\*?\w+)*$", doc, re.MULTILINE)
    return bool(section) or f"`{parameter}`" in doc


def test_every_parameter_of_a_public_function_is_described():
    missing = {
        f"{name}({parameter})"
        for name, function, doc in public_functions()
        if inspect.isfunction(function) and function.__module__.startswith("mattertune_nb")
        for parameter in inspect.signature(function).parameters
        if parameter not in ("self", "cls") and not is_described(parameter, doc)
    }
    assert not missing


def test_a_parameter_without_a_description_is_found():
    doc = "Do `this`.\n\n    Parameters\n    ----------\n    one, other\n        Two of them.\n"
    assert all(is_described(name, doc) for name in ("this", "one", "other"))
    assert not is_described("them", doc)


def test_buffers_say_their_shape():
    """In a comment beside the annotation, or in the docstring of the class."""
    root, silent = Path(mt.__file__).parent, []
    for path in sorted(root.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for cls in (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef)):
            told = ast.get_docstring(cls) or ""
            for node in cls.body:
                if not (
                    isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "Tensor"
                ):
                    continue
                name, line = ast.unparse(node.target), text.splitlines()[node.lineno - 1]
                if "# (" not in line and not re.search(rf"^[\w, ]*\b{name}\b[\w, ]*$", told, re.M):
                    silent.append(f"{path.relative_to(root)}: {cls.name}.{name}")
    assert silent == []
