"""A config to begin with, each field with what it is for."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.config.base import StrictConfig
from mattertune_nb.config.yaml import dump_yaml
from mattertune_nb.data.datasets import XYZDatasetConfig
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

    Raises
    ------
    ConfigError
        Where there is no such backbone.
    """
    config = MatterTunerConfig(
        model=backbone_config_class(backbone)(),
        data=AutoSplitDataModuleConfig(dataset=XYZDatasetConfig(src=data)),
    )
    return _HEAD + "\n".join(_lines(config, 0)) + "\n"


def _lines(config: StrictConfig, indent: int) -> list[str]:
    pad = " " * indent
    plain = config.to_dict()
    lines = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        extra = field.json_schema_extra
        unit = f" [{extra['unit']}]" if isinstance(extra, dict) and extra.get("unit") else ""
        comment = f"{field.description or ''}{unit}"
        lines += [f"{pad}# {line}" for line in textwrap.wrap(comment, 96 - indent)]
        if isinstance(value, StrictConfig):
            lines += [f"{pad}{name}:", *_lines(value, indent + 2)]
        elif isinstance(value, list) and value and all(isinstance(v, StrictConfig) for v in value):
            lines.append(f"{pad}{name}:")
            for item in value:
                first, *rest = [line for line in _lines(item, 0) if not line.startswith("#")]
                lines += [f"{pad}- {first}", *(f"{pad}  {line}" for line in rest)]
        else:
            lines += [f"{pad}{line}" for line in _dump({name: plain[name]})]
    return lines


def _dump(data: dict[str, Any]) -> list[str]:
    return dump_yaml(data).rstrip().splitlines()
