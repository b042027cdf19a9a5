"""The strict base of every config: units, YAML and Python round trips, one-line errors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.messages import problems_of, shown, unknown_setting
from mattertune_nb.config.yaml import dump_yaml, load_yaml, yaml_problem

if TYPE_CHECKING:
    from collections.abc import ItemsView, KeysView

_WIDTH = 88


def setting(
    default: Any = ...,
    description: str = "",
    *,
    label: str | None = None,
    basic: bool = False,
    unit: str | None = None,
    group: str | None = None,
    kinds: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    files: tuple[str, ...] = (),
    fixed: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Declare a config field, with everything that forms, the CLI's help and the docs say about it.

    Parameters
    ----------
    default
        The default value; ``...`` makes the field required. A callable goes to ``default_factory``.
    description
        What the field is and when to change it.
    label
        What people call it, e.g. ``"Learning rate"``; by default the words of the field's name.
    basic
        Whether most people change it, so that a form shows it at first sight.
    unit
        Physical unit, shown beside the value.
    group
        Heading under which a form shows the field.
    kinds
        A readable name for each type, for fields whose type of value determines its meaning.
    options
        Readable names for values that only code understands, e.g. ``{"cuda": "NVIDIA GPU (CUDA)"}``.
    files
        File-name patterns, for fields whose value is a file that a form lets people choose or upload.
    fixed
        Whether a resumed run must keep the value. For a group of settings this concerns only its kind; each
        setting in the group has its own ``fixed``. By default as the class declares, see
        ``fields_are_fixed``.
    **kwargs
        Bounds and other arguments, passed on to :func:`pydantic.Field`.
    """
    given: dict[str, Any] = {"unit": unit, "group": group, "kinds": kinds, "basic": basic}
    given |= {"options": options, "files": files}
    extra: dict[str, Any] = {key: value for key, value in given.items() if value}
    if fixed is not None:
        extra["fixed"] = fixed
    if label is not None:
        kwargs["title"] = label
    if callable(default):
        return Field(
            default_factory=default,
            description=description,
            json_schema_extra=extra or None,
            **kwargs,
        )
    return Field(default, description=description, json_schema_extra=extra or None, **kwargs)


class StrictConfig(BaseModel):
    """Base of all configs: unknown keys are refused, assignments are validated.

    Raises
    ------
    ConfigError
        On construction, on assignment or when reading a file; one line that names each bad field.
    """

    model_config = ConfigDict(
        extra="forbid",
        validate_assignment=True,
        use_attribute_docstrings=False,
        arbitrary_types_allowed=True,
        allow_inf_nan=False,
        ser_json_inf_nan="constants",
        protected_namespaces=(),
    )

    fields_are_fixed: ClassVar[bool] = False
    """Whether a resumed run must keep fields that this class declares without ``fixed``."""

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as exc:
            raise config_error(type(self), exc) from None
        except UnicodeEncodeError as exc:
            raise _no_text(type(self), exc) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and name not in type(self).model_fields:
            raise ConfigError.from_problems(
                type(self).__name__, [((name,), unknown_setting(type(self), name))]
            )
        before = dict(self.__dict__)
        try:
            super().__setattr__(name, value)
        except ValidationError as exc:
            # pydantic runs `after` validators on the changed model and leaves it changed
            self.__dict__.update(before)
            raise config_error(type(self), exc) from None
        except UnicodeEncodeError as exc:
            raise _no_text(type(self), exc) from None

    @classmethod
    def from_dict(cls, data: Any, *, source: str = "") -> Self:
        """Validate plain data, e.g. the contents of a YAML file; errors name `source`.

        Parameters
        ----------
        data
            A mapping of settings.
        source
            Where they come from, named in errors.

        Raises
        ------
        ConfigError
            A setting is unknown, missing or not allowed.
        """
        if not isinstance(data, dict):
            got = "it is empty" if data is None else f"got {shown(data)}"
            msg = f"{source or cls.__name__}: expected settings, as in 'name: value'; {got}."
            raise ConfigError(msg)
        try:
            return cls(**{str(key): value for key, value in data.items()})
        except ConfigError as exc:
            if source and exc.problems:
                raise ConfigError.from_problems(source, exc.problems) from None
            raise

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a config written by :meth:`to_yaml` or by hand.

        Parameters
        ----------
        path
            The file.

        Raises
        ------
        ConfigError
            The file cannot be read, or a setting is unknown, missing or not allowed.
        """
        try:
            text = Path(path).expanduser().read_text(encoding="utf-8-sig")
        except (OSError, RuntimeError) as exc:  # the latter if there is no home folder
            why = getattr(exc, "strerror", None) or exc
            msg = f"{path}: cannot read the config ({why}). Check the path."
            raise ConfigError(msg) from exc
        except UnicodeDecodeError as exc:
            msg = f"{path}: not valid YAML ({exc})."
            raise ConfigError(msg) from exc
        return cls.from_yaml_text(text, source=str(path))

    @classmethod
    def from_yaml_text(cls, text: str, *, source: str = "") -> Self:
        """Read a config from YAML text; errors name `source`.

        Parameters
        ----------
        text
            The YAML.
        source
            Where it comes from, named in errors.

        Raises
        ------
        ConfigError
            It is not valid YAML, or a setting is unknown, missing or not allowed.
        """
        try:
            data = load_yaml(text)
        except yaml.YAMLError as exc:
            mark = getattr(exc, "problem_mark", None)
            line = f"line {mark.line + 1}" if mark else ""
            where = ", ".join(filter(None, (source, line))) or cls.__name__
            msg = f"{where}: not valid YAML ({yaml_problem(exc)})."
            raise ConfigError(msg) from exc
        return cls.from_dict(data, source=source)

    @classmethod
    def is_fixed(cls, name: str) -> bool:
        """Return whether a resumed run must keep a field.

        Parameters
        ----------
        name
            Name of the field.
        """
        extra = cls.model_fields[name].json_schema_extra
        if isinstance(extra, dict) and "fixed" in extra:
            return bool(extra["fixed"])
        *_, declares = (
            c for c in cls.__mro__ if issubclass(c, StrictConfig) and name in c.model_fields
        )
        return declares.fields_are_fixed

    def to_dict(self) -> dict[str, Any]:
        """Return the config as plain builtins, as stored in files and checkpoints."""
        return self.model_dump(mode="json")

    def to_yaml(self, path: str | Path | None = None) -> str:
        """Return the config as YAML, and write it to `path` if given."""
        text = dump_yaml(self.to_dict())
        if path is not None:
            Path(path).expanduser().write_text(text, encoding="utf-8")
        return text

    def to_python(self) -> str:
        """Return Python code that builds this config; fields at their default are omitted."""
        code = _code(self, 0)
        lines = ["import mattertune_nb as mt"]
        lines += sorted(_foreign_imports(self))
        return "\n".join([*lines, "", f"config = {code}", ""])


class HyperParameters(StrictConfig):
    """A config that Lightning accepts in place of the mapping it expects in ``hparams``.

    Lightning iterates over it and puts ``dict(hparams)`` into checkpoints, which makes it plain data.
    """

    def keys(self) -> KeysView[str]:
        """Return the names of the settings."""
        return type(self).model_fields.keys()

    def items(self) -> ItemsView[str, Any]:
        """Return the settings as builtins."""
        return {name: self[name] for name in self.keys()}.items()

    def __getitem__(self, name: str) -> Any:
        return self.model_dump(mode="json", include={name})[name]


def config_error(cls: type[BaseModel], exc: ValidationError) -> ConfigError:
    """Turn pydantic's report into one line that names each field."""
    return ConfigError.from_problems(cls.__name__, problems_of(cls, exc))


def _no_text(cls: type[BaseModel], exc: UnicodeEncodeError) -> ConfigError:
    text = shown(str(exc.object)).encode("ascii", "backslashreplace").decode()
    return ConfigError(
        f"{cls.__name__}: {text} contains half a surrogate pair, which cannot be written."
    )


def _code(value: Any, indent: int) -> str:
    """Return constructor code for a value, split over several lines if it is long."""
    if isinstance(value, StrictConfig):
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


def _not_at_default(config: StrictConfig) -> dict[str, Any]:
    """Return the settings that differ from their defaults; as plain data if code cannot express them."""
    plain = config.to_dict()
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
    return value is None or isinstance(value, (StrictConfig, str, int, float, bool))


def _join(start: str, parts: list[str], end: str, indent: int) -> str:
    one_line = start + ", ".join(parts) + end
    if "\n" not in one_line and len(one_line) + indent <= _WIDTH:
        return one_line
    pad = " " * (indent + 4)
    body = "".join(f"{pad}{part},\n" for part in parts)
    return f"{start}\n{body}{' ' * indent}{end.lstrip(',')}"


def _foreign_imports(value: Any) -> set[str]:
    """Return import lines for configs defined by other packages."""
    if isinstance(value, StrictConfig):
        module, name = type(value).__module__, type(value).__name__
        own = set() if module.startswith("mattertune_nb.") else {f"from {module} import {name}"}
        return own.union(
            *(_foreign_imports(getattr(value, field)) for field in type(value).model_fields)
        )
    if isinstance(value, (list, tuple)):
        return set().union(*(_foreign_imports(item) for item in value))
    return set()
