"""Which settings of a run differ from those it started with, and which of them may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.base import StrictConfig
from mattertune_nb.config.messages import shown
from mattertune_nb.config.paths import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Change:
    """One setting that differs.

    Attributes
    ----------
    path
        Where the setting is, e.g. ``model.optimizer.lr``.
    before, after
        Its values as plain data; if a group of settings changed its kind, the kind.
    is_fixed
        Whether a run must keep it, see :func:`~mattertune_nb.config.base.setting`.
    """

    path: str
    before: Any
    after: Any
    is_fixed: bool

    def __str__(self) -> str:
        return f"{self.path}: {shown(self.before)} → {shown(self.after)}"


def changes(before: Any, after: StrictConfig, path: str = "") -> list[Change]:
    """Return the settings that differ.

    Parameters
    ----------
    before
        Settings as plain data, as stored in a checkpoint. A setting that is missing because an older version
        did not have it does not count as a change.
    after
        The current settings.
    path
        Where they are in the enclosing config.
    """
    return list(_changes(before, after, path))


def _changes(before: Any, after: StrictConfig, path: str) -> Iterator[Change]:
    plain = after.to_dict()
    for name in type(after).model_fields:
        if isinstance(before, dict) and name in before:
            is_fixed = type(after).is_fixed(name)
            where = f"{path}.{name}" if path else name
            yield from _differences(
                before[name], getattr(after, name), plain[name], where, is_fixed
            )


def _differences(
    before: Any, after: Any, plain: Any, path: str, is_fixed: bool
) -> Iterator[Change]:
    """Yield the differences in a setting, which may itself contain settings, or a list or mapping of them."""
    if before == plain:
        return
    if isinstance(after, StrictConfig):
        if _same_kind(before, plain):
            yield from _changes(before, after, path)
        else:
            yield Change(path, _kind(before), _kind(plain), is_fixed)
    elif isinstance(after, list) and any(isinstance(part, StrictConfig) for part in after):
        if (
            isinstance(before, list)
            and len(before) == len(plain)
            and all(map(_same_kind, before, plain))
        ):
            for i, part in enumerate(after):
                yield from _differences(before[i], part, plain[i], f"{path}.{i}", is_fixed)
        else:
            was = [_kind(part) for part in before] if isinstance(before, list) else _kind(before)
            yield Change(path, was, [_kind(part) for part in plain], is_fixed)
    elif isinstance(after, dict) and isinstance(before, dict) and before.keys() == after.keys():
        for key, part in after.items():
            yield from _differences(before[key], part, plain[key], f"{path}.{key}", is_fixed)
    else:
        yield Change(path, before, plain, is_fixed)


def _same_kind(before: Any, plain: dict[str, Any]) -> bool:
    return isinstance(before, dict) and all(
        before.get(key) == plain[key] for key in KINDS if key in plain
    )


def _kind(plain: Any) -> Any:
    """Return what identifies the kind of a group of settings, or the whole group if it has only one kind."""
    if not isinstance(plain, dict):
        return plain
    return next((plain[key] for key in KINDS if key in plain), plain)
