"""Names of labels filled in from what the data files of a config hold."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.data.contents import search_labels
from mattertune_nb.data.fingerprint import file_stamps
from mattertune_nb.data.labels.choice import key_settings
from mattertune_nb.data.sources.file_source import FileSource

if TYPE_CHECKING:
    from mattertune_nb.data.labels.choice import Choice
    from mattertune_nb.training.config import MatterTunerConfig

_SECONDS = 0.5
"""How long a file is looked at before the form goes on."""


class LabelKeyFiller:
    """Looks into each data file once, and says what it found.

    Parameters
    ----------
    waiting
        Whether files are not to be looked into yet.

    Attributes
    ----------
    notes
        A line for each data file of the last config, by its field.
    sizes
        How many frames each of them has, where it could be read.
    questions
        For each of them the labels that several values may be, while none of these is set.
    """

    def __init__(self, *, waiting: bool = False) -> None:
        self.waiting = waiting
        self.notes: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.questions: dict[str, list[Choice]] = {}
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[Any, dict[str, Choice], str, int | None]] = {}
        self._filled: dict[str, tuple[Any, dict[str, str]]] = {}

    def look(self, config: MatterTunerConfig) -> None:
        """Look into the data files of a config, so that :meth:`fill` has nothing to wait for."""
        for name in type(config.data).model_fields:
            if hasattr(getattr(config.data, name), "src"):
                self._look(name, getattr(config.data, name), config.model.name)

    def _look(
        self, name: str, dataset: Any, backbone: str
    ) -> tuple[Any, dict[str, Choice], str, int | None]:
        with self._lock:
            identity = _identity(dataset)
            if name not in self._seen or self._seen[name][0] != identity:
                self._seen[name] = (identity, *_look_into(dataset, backbone))
            return self._seen[name]

    def identity(self, dataset: Any) -> Any:
        """Return what tells a data set, with the names of its labels, from others."""
        part = {prop.key_field for prop in PROPERTIES.values()}
        names = tuple(dataset.model_dump(include=part).values())
        if hasattr(dataset, "src"):
            return _identity(dataset)[:3], str(_identity(dataset)[3]), names
        return id(dataset.atoms_list[0]), len(dataset.atoms_list), names

    def fill(self, config: MatterTunerConfig) -> bool:
        """Set the keys that are not set and whose standard name a file lacks; return whether any was.

        What was filled in for another file in the same place is taken back first.
        """
        if self.waiting:
            fields = [
                n for n in type(config.data).model_fields if hasattr(getattr(config.data, n), "src")
            ]
            self.notes = dict.fromkeys(fields, "Looking into the data file …")
            return False
        changed = False
        self.notes, self.sizes, self.questions = {}, {}, {}
        for name in type(config.data).model_fields:
            dataset = getattr(config.data, name)
            if hasattr(dataset, "atoms_list"):
                self.sizes[name] = len(dataset.atoms_list)
            if not hasattr(dataset, "src"):
                continue
            file, found, note, size = self._look(name, dataset, config.model.name)
            last, filled = self._filled.get(name, (None, {}))
            if file != last:
                changed |= _take_back(dataset, filled)
                filled = {
                    field: key
                    for field, key in key_settings(found).items()
                    if getattr(dataset, field) is None
                }
                for field, key in filled.items():
                    setattr(dataset, field, key)
                changed |= bool(filled)
                self._filled[name] = (file, filled)
            self.notes[name] = note
            self.questions[name] = [
                choice
                for label, choice in found.items()
                if choice.question and getattr(dataset, PROPERTIES[label].key_field) is None
            ]
            if size is not None:
                self.sizes[name] = size
        return changed


def _take_back(dataset: Any, filled: dict[str, str]) -> bool:
    stale = [field for field, key in filled.items() if getattr(dataset, field) == key]
    for field in stale:
        setattr(dataset, field, None)
    return bool(stale)


def _identity(dataset: Any) -> Any:
    changed = file_stamps(dataset)
    part = dataset.model_dump(include={*FileSource.model_fields, "selection"} - {"src"})
    return type(dataset), str(dataset.src), changed, part


def _look_into(dataset: Any, backbone: str) -> tuple[dict[str, Choice], str, int | None]:
    try:
        frames = dataset.create_dataset()
        search = search_labels(frames, at_most=_SECONDS)
    except (MatterTuneError, OSError) as exc:
        return {}, str(exc), None
    found = search.choices()
    if any(choice.open for choice in found.values()):
        # torch, and a few predictions: only where a person would be asked
        from mattertune_nb.doctor.evidence import decide

        decide(frames, found, backbone)
    names = ", ".join(_told(choice) for choice in found.values())
    return found, f"{dataset.src}: {len(frames)} frames; {names}.", len(frames)


def _told(choice: Choice) -> str:
    candidates = [c.key for c in choice.open or choice.parts]
    keys = candidates or ([choice.key] if choice.key else []) + choice.same
    return f"{choice.label} under {' or '.join(map(repr, keys))}" if keys else f"no {choice.label}"
