"""The strict base of every config: units, YAML and Python round trips, one-line errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mattertune_nb.config.code import python_code
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.messages import problems_of, shown, unknown_setting
from mattertune_nb.config.yaml import dump_yaml, load_yaml, yaml_problem

if TYPE_CHECKING:
    from collections.abc import ItemsView, KeysView


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
        # `setting` takes the description beside label and unit; pydantic would parse the source again
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
        return python_code(self)


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
