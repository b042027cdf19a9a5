"""YAML as people mean it: numbers as in version 1.2, and no duplicate keys."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any

import yaml

from mattertune_nb.config.errors import cause, cut

_DEEPEST = 200
"""Maximum nesting of brackets; PyYAML's time grows with the square of it."""

_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"


class _Loader(yaml.SafeLoader):
    """Safe loader without the guesses of YAML 1.1.

    In YAML 1.1 ``index: 10:20`` is the number 620, ``name: 2024-01-01`` a date and ``lr: 1e-3`` a string.
    Here a key is the word as written, so that nobelium (``No``) is not ``False``.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            _as_word(key)
            if key.value in seen:
                problem = f"'{cut(key.value)}' is set twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        self.flatten_mapping(node)
        for key, _ in node.value:  # keys of merged mappings
            _as_word(key)
        return super().construct_mapping(node, deep)


def _as_word(key: yaml.Node) -> None:
    """Keep the name of a setting as the word that is written."""
    if not isinstance(key, yaml.ScalarNode):
        problem = "the name of a setting must be a word"
        raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
    if key.tag != _MERGE:
        key.tag = _TEXT


class _Dumper(yaml.SafeDumper):
    """Quote every string that either version of YAML would read as something else."""


_DROPPED = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _DROPPED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_INT = r"[-+]?\d+$|0x[0-9a-fA-F]+$"
_FLOAT = (
    r"[-+]?(\d+\.\d*|\.\d+)([eE][-+]?\d+)?$|[-+]?\d+[eE][-+]?\d+$"
    r"|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
)
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(_INT), list("-+0123456789"))
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(_FLOAT), list("-+0123456789.")
    )

_Loader.add_constructor(
    "tag:yaml.org,2002:int",
    lambda _, node: int(node.value, 16 if "x" in node.value else 10),  # YAML 1.1 reads 010 as 8
)


def yaml_problem(exc: yaml.YAMLError) -> str:
    """Return what is wrong with a YAML text, without repeating it."""
    return cut(" ".join(str(getattr(exc, "problem", None) or exc).split()))


def dump_yaml(data: Any) -> str:
    """Return plain data as YAML that :func:`load_yaml` and other readers understand in the same way."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def load_yaml(text: str) -> Any:
    """Return the contents of a YAML text.

    Raises
    ------
    yaml.YAMLError
        The text is not valid, sets a key twice, or is nested too deeply.
    """
    depths = accumulate((mark in "[{") - (mark in "]}") for mark in text)
    if max(depths, default=0) > _DEEPEST:
        msg = "nested too deeply"
        raise yaml.YAMLError(msg)
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise
    except RecursionError as exc:
        msg = "nested too deeply"
        raise yaml.YAMLError(msg) from exc
    except Exception as exc:  # PyYAML's constructors raise all sorts of exceptions
        msg = f"a value that does not fit its tag: {cause(exc)}"
        raise yaml.YAMLError(msg) from exc
