"""Label names filled in from the contents of a config's data files."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.data.contents import search_labels
from mattertune_nb.data.fingerprint import file_stamps
from mattertune_nb.data.labels.choice import key_settings
from mattertune_nb.data.sources.fetched import FetchedSource
from mattertune_nb.data.sources.file_source import FileSource
from mattertune_nb.training.estimate.labels import weigh_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.data.labels.choice import Choice
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.estimate.process import AskedProcess

_SECONDS = 0.5
"""Seconds for which a file is examined before the form moves on."""


class LabelKeyFiller:
    """Examines each data file once, and reports what it found.

    Parameters
    ----------
    waiting
        Whether files should not be examined yet.
    weighed
        Called in a thread when the untuned model has been compared with values among which the user would
        have to choose; :meth:`fill` then knows more.

    Attributes
    ----------
    notes
        One line for each data file of the last config, by field.
    sizes
        Number of frames in each file that could be read.
    asked
        For each file, the labels for which there are several candidates, each with the name chosen so far.
    """

    def __init__(
        self, *, waiting: bool = False, weighed: Callable[[], None] = lambda: None
    ) -> None:
        self.waiting = waiting
        self._weighed = weighed
        self._thread: threading.Thread | None = None
        self._process: AskedProcess | None = None
        self._is_closed = False
        self.notes: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.asked: dict[str, list[tuple[Choice, str | None]]] = {}
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[Any, dict[str, Choice], str, int | None]] = {}
        self._asked: dict[str, Any] = {}
        self._filled: dict[str, tuple[Any, dict[str, str]]] = {}

    @property
    def questions(self) -> dict[str, list[Choice]]:
        """For each file, the labels of which the user has not yet chosen the name."""
        return {
            file: [choice for choice, chosen in asked if chosen is None]
            for file, asked in self.asked.items()
        }

    def look(self, config: MatterTunerConfig) -> None:
        """Examine the data files of a config, so that :meth:`fill` does not have to wait."""
        for name in type(config.data).model_fields:
            if _is_here(getattr(config.data, name)):
                self._look(name, getattr(config.data, name))

    def wait(self) -> None:
        """Wait for the comparison with the untuned model, if one is running."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def close(self) -> None:
        """Ask no more questions of the model."""
        self._is_closed = True
        if self._process is not None:
            self._process.cancel()

    def _look(self, name: str, dataset: Any) -> tuple[Any, dict[str, Choice], str, int | None]:
        with self._lock:
            identity = _identity(dataset)
            if name not in self._seen or self._seen[name][0] != identity:
                self._seen[name] = (identity, *_look_into(dataset))
            return self._seen[name]

    def identity(self, dataset: Any) -> Any:
        """Return what identifies a data set and its label names."""
        part = {prop.key_field for prop in PROPERTIES.values()}
        names = tuple(dataset.model_dump(include=part).values())
        if hasattr(dataset, "src"):
            return _identity(dataset)[:3], str(_identity(dataset)[3]), names
        return id(dataset.atoms_list[0]), len(dataset.atoms_list), names

    def fill(self, config: MatterTunerConfig) -> bool:
        """Set the keys that are unset if a file lacks the standard name; return whether any was set.

        Names filled in for a previous file in the same place are removed first.
        """
        if self.waiting:
            fields = [
                n for n in type(config.data).model_fields if _is_here(getattr(config.data, n))
            ]
            self.notes = dict.fromkeys(fields, "Reading the data file …")
            return False
        changed = False
        self.notes, self.sizes, self.asked = {}, {}, {}
        for name in type(config.data).model_fields:
            dataset = getattr(config.data, name)
            if hasattr(dataset, "atoms_list"):
                self.sizes[name] = len(dataset.atoms_list)
            if not _is_here(dataset):
                continue
            file, found, note, size = self._look(name, dataset)
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
            self.asked[name] = [
                (choice, getattr(dataset, PROPERTIES[label].key_field))
                for label, choice in found.items()
                if choice.question
            ]
            if size is not None:
                self.sizes[name] = size
        self._ask(config)
        return changed

    def _ask(self, config: MatterTunerConfig) -> None:
        """Ask the untuned model about open questions, once for each file."""
        with self._lock:
            open_files = {
                name: seen[0]
                for name, seen in self._seen.items()
                if self.questions.get(name) and self._asked.get(name) != seen[0]
            }
            self._asked |= open_files
        if open_files and not self._is_closed:
            self._thread = threading.Thread(
                target=self._weigh,
                args=(config.model_copy(deep=True), open_files),
                daemon=True,
                name="mattertune_nb labels",
            )
            self._thread.start()

    def _weigh(self, config: MatterTunerConfig, files: dict[str, Any]) -> None:
        try:
            # it imports torch, which would block the kernel for seconds
            said = weigh_labels(config, lambda process: setattr(self, "_process", process))
        except MatterTuneError:
            return  # the question itself is more useful than a message about the model
        with self._lock:
            for name, identity in files.items():
                if self._seen[name][0] == identity:
                    _, found, _, size = self._seen[name]
                    found = said.added_to(name, found)
                    dataset = getattr(config.data, name)
                    self._seen[name] = identity, found, _line(dataset, found, size or 0), size
                    # names filled in earlier are removed and determined again with the new knowledge
                    self._filled[name] = None, self._filled.get(name, (None, {}))[1]
        if not self._is_closed:
            self._weighed()


def _is_here(dataset: Any) -> bool:
    """Return whether a data set consists of files, none of which must be downloaded first."""
    is_fetched = isinstance(dataset, FetchedSource)
    return hasattr(dataset, "src") and (not is_fetched or dataset.src.is_file())


def _take_back(dataset: Any, filled: dict[str, str]) -> bool:
    stale = [field for field, key in filled.items() if getattr(dataset, field) == key]
    for field in stale:
        setattr(dataset, field, None)
    return bool(stale)


def _identity(dataset: Any) -> Any:
    changed = file_stamps(dataset)
    part = dataset.model_dump(include={*FileSource.model_fields, "selection"} - {"src"})
    return type(dataset), str(dataset.src), changed, part


def _look_into(dataset: Any) -> tuple[dict[str, Choice], str, int | None]:
    try:
        frames = dataset.create_dataset()
        search = search_labels(frames, at_most=_SECONDS)
    except (MatterTuneError, OSError) as exc:
        return {}, str(exc), None
    found = search.choices()
    return found, _line(dataset, found, len(frames)), len(frames)


def _line(dataset: Any, found: dict[str, Choice], n_frames: int) -> str:
    names = ", ".join(_told(choice) for choice in found.values())
    return f"{dataset.src}: {n_frames} frames; {names}."


def _told(choice: Choice) -> str:
    candidates = [c.key for c in choice.open or choice.parts]
    keys = candidates or ([choice.key] if choice.key else []) + choice.same
    return f"{choice.label} under {' or '.join(map(repr, keys))}" if keys else f"no {choice.label}"
