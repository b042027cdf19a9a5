"""A starting config in which every field is explained."""

from __future__ import annotations

import contextlib
import textwrap
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.config.base import StrictConfig
from mattertune_nb.config.errors import DataError
from mattertune_nb.config.overrides import override_settings
from mattertune_nb.config.properties import FORCES, PROPERTIES, STRESSES
from mattertune_nb.config.task import ISOLATED_ATOMS, StressesPropertyConfig
from mattertune_nb.config.yaml import dump_yaml
from mattertune_nb.data.contents import search_labels
from mattertune_nb.data.division.splits import AutoSplitDataModuleConfig
from mattertune_nb.data.fingerprint import file_stamps
from mattertune_nb.data.isolated import energies_of, isolated_in_words, separated
from mattertune_nb.data.labels.choice import key_settings
from mattertune_nb.data.labels.names import FOLLOWS
from mattertune_nb.data.labels.reading import Remarks, read_labels
from mattertune_nb.data.sources.configs import (
    DBDatasetConfig,
    XYZDatasetConfig,
    dataset_config,
)
from mattertune_nb.training.config import MatterTunerConfig

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.data.labels.choice import Choice

_HEAD = """\
# A run of mattertune_nb: mattertune-nb fit config.yaml
# Fields may be left out; they then have the value given here.

"""

_SECONDS = 120.0
"""Time limit for determining the label names from a file's frames."""


@dataclass
class FirstConfig:
    """A starting config.

    Attributes
    ----------
    text
        All settings as YAML with comments.
    questions
        Questions about the file's labels that only the user can answer; without answers the config cannot
        run.
    notes
        Remarks about the file, one sentence each.
    """

    text: str = ""
    questions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def first_config(data: Path, backbone: str, changes: Sequence[str] = ()) -> FirstConfig:
    """Return a complete config with the description and unit of each field.

    Label names are those in the file's frames, if the file exists.

    Parameters
    ----------
    data
        The file, folder or pattern.
    backbone
        Name of the backbone.
    changes
        Fields to set, e.g. ``data.dataset.skip_bad_files=true`` or ``data.dataset.energy_key=U0``.

    Raises
    ------
    ConfigError
        There is no such backbone, or no such field.
    DataError
        The file exists but cannot be read.
    """
    first, said = FirstConfig(), _Said()
    model, given = backbone_config_class(backbone)(), dataset_config(data)
    config = MatterTunerConfig(model=model, data=AutoSplitDataModuleConfig(dataset=given))
    config = override_settings(config, list(changes))
    split = config.data
    file = split.dataset if isinstance(split, AutoSplitDataModuleConfig) else None
    if isinstance(file, (XYZDatasetConfig, DBDatasetConfig)) and file_stamps(file):
        labelled = split.model_copy(
            update={"dataset": _with_labels(file, config.model, first, said)}
        )
        config = config.model_copy(update={"data": labelled})
    elif isinstance(file, (XYZDatasetConfig, DBDatasetConfig)):
        first.notes.append(f"{file.src}: no such file here, so label names are the standard ones")
    first.text = _HEAD + "\n".join(_lines(config, 0, said.lines)) + "\n"
    return first


def _with_labels(
    config: XYZDatasetConfig | DBDatasetConfig,
    model: BackboneConfig,
    first: FirstConfig,
    said: _Said,
) -> XYZDatasetConfig | DBDatasetConfig:
    """Return a file's config with its label names; if it has stresses, they are added to the properties.

    Remarks are added to `first` and `said`.
    """
    whole = config.create_dataset()
    # isolated atoms may lack what the frames have
    dataset, alone = separated(whole)
    search = search_labels(dataset, at_most=_SECONDS)
    names = {label: config.keys.given(label) for label in PROPERTIES}
    choices = search.choices({label: name for label, name in names.items() if name is not None})
    if any(choice.open for choice in choices.values()):
        from mattertune_nb.doctor.evidence import decide

        decide(dataset, choices, model.name)
    config = config.model_copy(update=key_settings(choices))
    first.notes += dataset.notes
    dataset.keys = config.keys
    findings: dict[str, list[str]] = {}
    asked = {STRESSES.name, *(prop.about().name for prop in model.properties)}
    for label, choice in choices.items():
        if label in asked:
            first.notes += _notes(dataset, choice, search.n_frames)
        if choice.question is not None:
            first.questions.append(f"{config.src}: {choice.question}")
        if choice.key is not None:
            own = not _is_converted(dataset, label)
            # a unit that cannot be used is refused from the first frame on
            refused = _unreadable(dataset, label, "mask", n_frames=1)
            findings[label] = (
                search.findings(label, [choice.key], unit_is_own=own)
                if refused is None
                else [refused.removesuffix(".")]
            )
            first.notes += findings[label]
        said.choice(choice)
    if alone is not None:
        alone.keys = config.keys
        told = isolated_in_words(len(alone), energies_of(alone))
        first.notes.append(told.removesuffix("."))
        said.lines["per_element_references"] = [
            "The file contains isolated atoms; their energies are used by",
            f"  per_element_references: {ISOLATED_ATOMS}",
        ]
    stress = choices[STRESSES.name]
    if stress.key is not None and not findings[STRESSES.name]:
        problem = _unreadable(dataset, STRESSES.name, "mask")
        if problem is not None:
            said.lines.setdefault("stress_key", []).append(problem)
        elif stress.candidate is not None and stress.candidate.n_usable:
            in_all = stress.candidate.n_usable == search.n_frames
            added = StressesPropertyConfig(missing="error" if in_all else "mask")
            model.properties = [*model.properties, added]
    return config


def _notes(dataset: AtomsDataset, choice: Choice, n_frames: int) -> list[str]:
    """Return remarks on how a label was chosen, why there is none, or how many frames lack it."""
    notes, label = list(choice.notes), choice.label
    usable = n_frames if choice.candidate is None else choice.candidate.n_usable
    if usable < n_frames and label != STRESSES.name:
        n = n_frames - usable
        have = "has" if n == 1 else "have"
        notes.append(
            f"{n} of {n_frames} frames {have} no usable '{choice.key}'; a run stops at the first of them. "
            f"Correct or remove them, or set missing: mask of the {label} to train on what each frame has"
        )
    unnamed = dataset.unnamed(0, label)
    if choice.key is None and unnamed is not None:
        notes.append(f"the frames have no {label}. {unnamed}")
    elif label != STRESSES.name and choice.key is None and choice.question is None:
        problem = _unreadable(dataset, label, "error")
        without = "; to train without them: --set 'model.properties=[{name: energy}]'"
        hint = without if label == FORCES.name else ""
        notes += [] if problem is None else [problem.removesuffix(".") + hint]
    return notes


def _unreadable(
    dataset: AtomsDataset, label: str, missing: Literal["error", "mask"], n_frames: int = 8
) -> str | None:
    """Return why a label of the first frames cannot be used; with ``mask`` a missing one is no problem."""
    try:
        for i in range(min(len(dataset), n_frames)):
            dataset.labels(i, {label: missing})
    except DataError as exc:
        return str(exc)
    return None


def _is_converted(dataset: AtomsDataset, label: str) -> bool:
    """Return whether the file states a unit for a label that differs from ours."""
    remarks = Remarks()
    with contextlib.suppress(DataError):  # reported elsewhere
        keys, source = dataset.keys_of(0), dataset.source(0)
        read_labels(dataset.frame(0), keys, {label: "mask"}, source=source, remarks=remarks)
    return label in remarks.converted


class _Said:
    """The comments about the file above its label names."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}

    def choice(self, choice: Choice) -> None:
        """Add what was found about a label: candidates, the choice, and what was excluded."""
        prop = PROPERTIES[choice.label]
        lines = self.lines.setdefault(prop.key_field, [])
        field_name = prop.key_field
        if choice.parts:
            lines.append(f"{choice.question}")
        elif choice.open:
            lines.append(f"Which {prop.verb} the {prop.title}? Set one of these:")
            lines += [
                f"  {field_name}: {c.key}  ({c.told(choice.n_frames, prop.unit)})"
                for c in choice.open
            ]
        elif choice.candidate is not None:
            lines.append(
                f"In the file: '{choice.key}', {choice.candidate.told(choice.n_frames, prop.unit)}."
            )
        lines += [f"{note[0].upper()}{note[1:]}." for note in choice.notes]
        lines += [f"Not '{key}', which is {reason}." for key, reason in choice.excluded.items()]
        for c in choice.other if choice.key is None and not choice.open else []:
            lines.append(f"  {field_name}: {c.key}  would take {FOLLOWS[c.reading.kind]}.")


def _lines(config: StrictConfig, indent: int, said: dict[str, list[str]]) -> list[str]:
    pad = " " * indent
    plain = config.to_dict()
    lines = []
    # the kind comes first, even if a base class has other fields
    fields = type(config).model_fields.items()
    for name, declared in sorted(fields, key=lambda item: item[0] not in ("name", "type")):
        extra = declared.json_schema_extra
        unit = f" [{extra['unit']}]" if isinstance(extra, dict) and extra.get("unit") else ""
        comment = f"{declared.description or ''}{unit}"
        lines += [f"{pad}# {line}" for line in textwrap.wrap(comment, 96 - indent)]
        for text in said.get(name, ()):
            lines += [f"{pad}# {line}" for line in textwrap.wrap(text, 96 - indent)]
        lines += _entry(name, getattr(config, name), plain[name], indent, said)
    return lines


def _entry(name: str, value: Any, plain: Any, indent: int, said: dict[str, list[str]]) -> list[str]:
    """Return an entry of a mapping; configs in it, including those in lists and mappings, get comments."""
    pad = " " * indent
    if isinstance(value, StrictConfig):
        return [f"{pad}{name}:", *_lines(value, indent + 2, said)]
    if isinstance(value, dict) and value:
        entries = [_entry(key, v, plain[key], indent + 2, said) for key, v in value.items()]
        return [f"{pad}{name}:", *chain.from_iterable(entries)]
    if isinstance(value, list) and value and all(isinstance(v, StrictConfig) for v in value):
        items = [_lines(item, indent + 2, said) for item in value]
        marked = [_marked(item, pad) for item in items]
        return [f"{pad}{name}:", *chain.from_iterable(marked)]
    return [f"{pad}{line}" for line in _dump({name: plain})]


def _marked(item: list[str], pad: str) -> list[str]:
    first, *rest = item
    return [f"{pad}- {first.lstrip()}", *rest]


def _dump(data: dict[str, Any]) -> list[str]:
    return dump_yaml(data).rstrip().splitlines()
