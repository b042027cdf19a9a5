"""A config to begin with, each field with what it is for."""

from __future__ import annotations

import textwrap
from itertools import chain
from typing import TYPE_CHECKING, Any

from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.config.base import StrictConfig
from mattertune_nb.config.yaml import dump_yaml
from mattertune_nb.data.datasets import XYZDatasetConfig
from mattertune_nb.data.fingerprint import file_stamps
from mattertune_nb.data.labels import keys_to_set, likely_keys
from mattertune_nb.data.splits import AutoSplitDataModuleConfig
from mattertune_nb.training.config import MatterTunerConfig

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = """\
# A run of mattertune_nb: mattertune-nb fit config.yaml
# Fields may be left out; they then have the value that stands here.

"""


def commented_config(data: Path, backbone: str) -> str:
    """Return a complete config as YAML with the description and unit of each field.

    Names of labels are those of the file's first frame, if the file is there already.

    Raises
    ------
    ConfigError
        Where there is no such backbone.
    DataError
        Where the file is there and cannot be read.
    """
    dataset = XYZDatasetConfig(src=data)
    if file_stamps(dataset):
        found = likely_keys(dataset.create_dataset().frame(0))
        dataset = dataset.model_copy(update=keys_to_set(found))
    config = MatterTunerConfig(
        model=backbone_config_class(backbone)(), data=AutoSplitDataModuleConfig(dataset=dataset)
    )
    return _HEAD + "\n".join(_lines(config, 0)) + "\n"


def _lines(config: StrictConfig, indent: int) -> list[str]:
    pad = " " * indent
    plain = config.to_dict()
    lines = []
    # what kind of thing it is comes first, also where a base class has other fields
    fields = type(config).model_fields.items()
    for name, field in sorted(fields, key=lambda item: item[0] not in ("name", "type")):
        extra = field.json_schema_extra
        unit = f" [{extra['unit']}]" if isinstance(extra, dict) and extra.get("unit") else ""
        comment = f"{field.description or ''}{unit}"
        lines += [f"{pad}# {line}" for line in textwrap.wrap(comment, 96 - indent)]
        lines += _entry(name, getattr(config, name), plain[name], indent)
    return lines


def _entry(name: str, value: Any, plain: Any, indent: int) -> list[str]:
    """Return an entry of a mapping; configs in it, also in lists and mappings, with comments."""
    pad = " " * indent
    if isinstance(value, StrictConfig):
        return [f"{pad}{name}:", *_lines(value, indent + 2)]
    if isinstance(value, dict) and value:
        entries = [_entry(key, v, plain[key], indent + 2) for key, v in value.items()]
        return [f"{pad}{name}:", *chain.from_iterable(entries)]
    if isinstance(value, list) and value and all(isinstance(v, StrictConfig) for v in value):
        items = [_lines(item, indent + 2) for item in value]
        marked = [[f"{pad}- {first.lstrip()}", *rest] for first, *rest in items]
        return [f"{pad}{name}:", *chain.from_iterable(marked)]
    return [f"{pad}{line}" for line in _dump({name: plain})]


def _dump(data: dict[str, Any]) -> list[str]:
    return dump_yaml(data).rstrip().splitlines()
